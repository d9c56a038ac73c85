"""Shows the run history in Django's admin, read-only; only ``prune_runs`` deletes runs."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.utils import quote, unquote
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_permission_codename
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.loader import get_template
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from django_runbook import conf
from django_runbook.cleaning import cleaned, cleaned_values
from django_runbook.exceptions import RunbookError
from django_runbook.journal.liveness import (
    ProcessState,
    displayed_status,
    process_state_of,
    process_states_of,
    with_displayed_status,
)
from django_runbook.locks.base import Lock
from django_runbook.locks.factory import Locks, new_factory
from django_runbook.models import RUNNING, Checkpoint, FailedRow, FinishedKey, Run, StepRun
from django_runbook.pages import words
from django_runbook.pages.run import Cursor, RunPage, Urls, run_page, took
from django_runbook.pages.step import step_page, without_long_output
from django_runbook.results import RunStatus

# A longer text pushes the columns after it off a screen of 1280 pixels.
_MAX_CELL: Final = 120


def new_lock() -> Locks:
    """Return the locks of the project, to see which of them are free."""
    try:
        return new_factory(conf.read(), what="the admin, to see whether a run is at work")
    except RunbookError as error:
        return Locks(_Refusing(error), name="unknown", options={})


class _Refusing:
    """Replaces locks whose settings are invalid; every call raises the error."""

    identity = ""

    def __init__(self, error: RunbookError) -> None:
        self._error = error

    def __call__(self, name: str) -> Lock:
        raise self._error


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # ModelAdmin takes no parameter at run time
    """Shows rows, read-only, to people with the permission to view them."""

    actions = None
    # Neither counts more rows than a page needs.
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return may_view(request, self.model)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        # No row has a NUL in what is asked for, and PostgreSQL fails at the question.
        is_answerable = not any("\0" in text for _, texts in request.GET.lists() for text in texts)
        return rows if is_answerable else rows.none()

    def get_urls(self) -> list[URLPattern]:
        """Return the views, whose answers are cleaned of control characters."""
        patterns: list[URLPattern] = [*self.own_urls(), *super().get_urls()]
        for pattern in patterns:
            pattern.callback = _clean_view(pattern.callback)
        return patterns

    def own_urls(self) -> list[URLPattern]:
        """Return the views that this class adds to Django's."""
        return []

    def url(self, name: str, *args: object) -> str:
        """Return the URL of an added view on this site."""
        return reverse(f"admin:django_runbook_{name}", args=args, current_app=self.admin_site.name)

    def respond(self, request: HttpRequest, template: str, **context: Any) -> HttpResponse:
        """Render a page of the admin."""
        request.current_app = self.admin_site.name  # as Django's own views do
        context = {**self.admin_site.each_context(request), "opts": self.opts, **context}
        return TemplateResponse(request, template, context)


def _clean_view(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Clean the answers of a view, since stored values come from commands and from older versions."""

    @functools.wraps(view)
    def clean(*args: Any, **kwargs: Any) -> HttpResponse:
        response = view(*args, **kwargs)
        if isinstance(response, TemplateResponse):
            response.add_post_render_callback(_clean_page)
        elif isinstance(response, JsonResponse):
            response.content = json.dumps(cleaned_values(json.loads(response.content), is_long=True))
        return response

    return clean


def _clean_page(response: HttpResponse) -> None:
    response.content = cleaned(response.content.decode())


def may_view(request: HttpRequest, model: type[Model]) -> bool:
    """Return whether a person has Django's permission to view or to change the rows of a model."""
    meta = model._meta
    return any(
        request.user.has_perm(f"{meta.app_label}.{get_permission_codename(action, meta)}")
        for action in ("view", "change")
    )


class StatusFilter(admin.SimpleListFilter):
    """Filters by the displayed status: dead runs are among the interrupted ones."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(status, words.LABELS[status]) for status in (RUNNING, *RunStatus)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        status = self.value()
        return with_displayed_status(queryset, status, new_lock()) if status else queryset


class RunList(ChangeList):
    """Lists a page of runs, and checks once for each page which of the running ones are alive."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        process_states = process_states_of(self.result_list, new_lock())
        for run in self.result_list:
            run.process_state = process_states[run.pk]


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    """Shows the list of runs, newest first, and the page of each run."""

    change_list_template = "django_runbook/run_list.html"
    list_display = ("state", "title", "started", "duration", "attempts")
    list_display_links = ("title",)
    list_filter = (StatusFilter, "started_at", "runbook")
    search_fields = ("^id", "runbook", "name")
    search_help_text = "The beginning of an id, or a part of a runbook or of a name"
    ordering = ("-started_at", "-pk")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return RunList

    @admin.display(description="status", ordering="status")
    def state(self, run: Run) -> SafeString:
        badge = words.badge(displayed_status(run, _process_state(run)))
        if not run.exit_code:
            return badge
        return format_html('{}<span class="rb-key">exit code {}</span>', badge, str(run.exit_code))

    @admin.display(description="name and runbook", ordering="runbook")
    def title(self, run: Run) -> SafeString:
        # A name may hold marks that turn the direction of what follows.
        return format_html(
            '<bdi>{}</bdi> <code class="rb-key"><bdi>{}</bdi></code>', run.name or run.runbook, run.runbook
        )

    @admin.display(description="started", ordering="started_at")
    def started(self, run: Run) -> str:
        return words.moment(run.started_at)

    @admin.display(description="duration")
    def duration(self, run: Run) -> str:
        """Return the duration of the last attempt: days may pass before a resume."""
        return took(run, _process_state(run))

    @admin.display(description="attempts", ordering="attempt_count")
    def attempts(self, run: Run) -> int:
        return run.attempt_count

    def own_urls(self) -> list[URLPattern]:
        live = path(
            "<path:object_id>/live/", self.admin_site.admin_view(self.live_view), name="django_runbook_run_live"
        )
        return [live]

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Render the page of a run in its current state."""
        page = self._page(request, object_id)
        context = {
            "title": f"Run {page.run.id[:8]}",
            "page": page,
            "live_url": self.url("run_live", quote(page.run.id)),
            **(extra_context or {}),
        }
        return self.respond(request, "django_runbook/run.html", **context)

    def live_view(self, request: HttpRequest, object_id: str) -> JsonResponse:
        """Return the parts of a run's page that changed since it was rendered, as HTML fragments."""
        page = self._page(request, object_id)
        row_template = get_template("django_runbook/includes/row.html")
        rows = [
            {"key": row.key, "after": before, "html": row_template.render({"row": row})}
            for row, before in page.changed_since(Cursor.of_text(request.GET.get("since", "")))
        ]
        answer = {
            "cursor": str(page.cursor),
            "is_finished": not page.is_live,
            "status": words.LABELS[page.look],
            "counts": page.counts,
            "seconds": page.timeline.axis.seconds if page.timeline else 0,
            "summary": get_template("django_runbook/includes/summary.html").render({"page": page}),
            "axis": get_template("django_runbook/includes/axis.html").render({"page": page}),
            "rows": rows,
            # Of a run with very many steps, what goes well leaves the page.
            "keys": [row.key for row in page.timeline.rows] if page.timeline and page.left_out else None,
        }
        return JsonResponse(answer)

    def _page(self, request: HttpRequest, run_id: str) -> RunPage:
        if not self.has_view_permission(request):
            raise PermissionDenied
        pk = unquote(run_id)
        run = None if "\0" in pk else self.get_queryset(request).filter(pk=pk).first()
        if run is None:
            raise Http404(f"There is no run {run_id}.")
        return run_page(run, new_lock=new_lock(), urls=self._urls(request))

    def _urls(self, request: HttpRequest) -> Urls | None:
        if not may_view(request, StepRun):
            return None
        rows = self.url("failedrow_changelist")
        # Of a thousand steps, one is looked up.
        head, _, tail = self.url("steprun_change", 0).rpartition("/0/")
        return Urls(
            step=lambda pk: f"{head}/{pk}/{tail}",
            failed_rows=(lambda scope: f"{rows}?{urlencode({'scope': scope})}")
            if may_view(request, FailedRow)
            else None,
        )


@admin.register(StepRun)
class StepRunAdmin(ReadOnlyAdmin):
    """Shows the page of each attempt of a step; the page of the run lists them."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Redirect to the runs: a list of all steps of all runs helps nobody."""
        return HttpResponseRedirect(self.url("run_changelist"))

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """Render the page of one attempt, with its command line, error and output."""
        if not self.has_view_permission(request) or not may_view(request, Run):
            raise PermissionDenied
        rows = self.get_queryset(request).select_related("run")
        step = without_long_output(rows).filter(pk=_number(object_id)).first()
        if step is None:
            raise Http404(f"There is no attempt {object_id} of a step.")
        context = {
            "title": f"Step {step.step_id}",
            "page": step_page(step, process_state_of(step.run, new_lock())),
            **(extra_context or {}),
        }
        return self.respond(request, "django_runbook/step.html", **context)


class WorkAdmin(ReadOnlyAdmin):
    """Shows rows of batch commands, in columns that fit into 1280 pixels."""

    change_list_template = "django_runbook/run_list.html"

    @admin.display(description="done", ordering="done_count")
    def done(self, row: Checkpoint | FinishedKey) -> str:
        failed = f", {words.number(row.failed_count)} failed" if row.failed_count else ""
        return words.number(row.done_count) + failed


@admin.register(FailedRow)
class FailedRowAdmin(WorkAdmin):
    """Shows the failed rows of batch commands, newest first."""

    list_display = ("title", "short_error", "attempts", "failed")
    list_filter = ("failed_at", "command")
    search_fields = ("name", "error")
    ordering = ("-pk",)
    exclude = ("scope", "key_digest", "traceback")
    readonly_fields = ("whole_traceback",)

    @admin.display(description="name and command", ordering="name")
    def title(self, row: FailedRow) -> SafeString:
        return _two_lines(row.name, _command_of(row))

    @admin.display(description="error")
    def short_error(self, row: FailedRow) -> str:
        return _short(next(iter(row.error.splitlines()), ""))

    @admin.display(description="attempts", ordering="attempt_count")
    def attempts(self, row: FailedRow) -> int:
        return row.attempt_count

    @admin.display(description="failed", ordering="failed_at")
    def failed(self, row: FailedRow) -> str:
        return words.moment(row.failed_at)

    @admin.display(description="traceback")
    def whole_traceback(self, row: FailedRow) -> SafeString:
        return format_html("<pre>{}</pre>", row.traceback)


@admin.register(Checkpoint)
class CheckpointAdmin(WorkAdmin):
    """Shows the checkpoints of batch commands, newest first."""

    list_display = ("title", "done", "changed")
    list_filter = ("finished_at", "command")
    search_fields = ("command", "description")
    ordering = ("-pk",)
    exclude = ("scope", "owner", "key_digest")

    @admin.display(description="command and its work", ordering="command")
    def title(self, row: Checkpoint) -> SafeString:
        return _two_lines(_command_of(row), row.description)

    @admin.display(description="last change", ordering="updated_at")
    def changed(self, row: Checkpoint) -> SafeString:
        if row.finished_at is None:
            return _two_lines("not finished", words.moment(row.updated_at))
        return _two_lines("finished", words.moment(row.finished_at))


@admin.register(FinishedKey)
class FinishedKeyAdmin(WorkAdmin):
    """Shows the run keys under which work has finished, newest first."""

    list_display = ("title", "done", "finished")
    list_filter = ("finished_at", "command")
    search_fields = ("command", "run_key")
    ordering = ("-pk",)
    exclude = ("scope", "key_digest")

    @admin.display(description="run key and command", ordering="run_key")
    def title(self, row: FinishedKey) -> SafeString:
        return _two_lines(row.run_key, _command_of(row))

    @admin.display(description="finished", ordering="finished_at")
    def finished(self, row: FinishedKey) -> str:
        return words.moment(row.finished_at)


def _two_lines(first: str, second: str) -> SafeString:
    # Either may hold marks that turn the direction of what follows.
    return format_html('<bdi>{}</bdi> <span class="rb-key"><bdi>{}</bdi></span>', _short(first), _short(second))


def _short(text: str) -> str:
    """Shorten a string to fit into a column."""
    return text if len(text) <= _MAX_CELL else f"{text[: _MAX_CELL - 1]}…"


def _command_of(row: Checkpoint | FailedRow | FinishedKey) -> str:
    return f"{row.command}, shard {row.shard}" if row.shard else row.command


def _process_state(run: Run) -> ProcessState:
    """Return whether `RunList` found the process of a run alive."""
    process_state: ProcessState = run.life  # type: ignore[attr-defined]  # an attribute that the list gives its rows
    return process_state


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
