"""Shows the list of runs and the page of each run."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.contrib.admin.utils import quote, unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.template.loader import get_template
from django.urls import URLPattern, path
from django.utils.html import format_html
from django.utils.safestring import SafeString

from django_runbook.admin import project_locks
from django_runbook.admin.read_only_admin import ReadOnlyAdmin, may_view
from django_runbook.journal.liveness import ProcessState, displayed_status, process_states_of, with_displayed_status
from django_runbook.models import RUNNING, Run, StepRun
from django_runbook.models.checkpoints import FailedRow
from django_runbook.pages import formatting
from django_runbook.pages.run_page import Cursor, RunPage, Urls, run_page, took
from django_runbook.results import RunStatus


class StatusFilter(admin.SimpleListFilter):
    """Filters by the displayed status: dead runs are among the interrupted ones."""

    title = "status"
    parameter_name = "status"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(status, formatting.LABELS[status]) for status in (RUNNING, *RunStatus)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Run]) -> QuerySet[Run]:
        status = self.value()
        return with_displayed_status(queryset, status, project_locks.new_lock()) if status else queryset


class RunList(ChangeList):
    """Lists a page of runs, and checks once for each page which of the running ones are alive."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        self.result_list = list(self.result_list)
        process_states = process_states_of(self.result_list, project_locks.new_lock())
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
    search_help_text = "Search by ID prefix, runbook or name"
    ordering = ("-started_at", "-pk")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        # They are long, and only later runs need them.
        return super().get_queryset(request).defer("figures")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return RunList

    @admin.display(description="status", ordering="status")
    def state(self, run: Run) -> SafeString:
        badge = formatting.badge(displayed_status(run, _process_state(run)))
        if run.unusual:
            badge = format_html('{}<span class="rb-key">unusual</span>', badge)
        if not run.exit_code:
            return badge
        return format_html('{}<span class="rb-key">exit code {}</span>', badge, str(run.exit_code))

    @admin.display(description="name and runbook", ordering="runbook")
    def title(self, run: Run) -> SafeString:
        # A name may contain marks that change the direction of the text after it.
        return format_html(
            '<bdi>{}</bdi> <code class="rb-key"><bdi>{}</bdi></code>', run.name or run.runbook, run.runbook
        )

    @admin.display(description="started", ordering="started_at")
    def started(self, run: Run) -> str:
        return formatting.moment(run.started_at)

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
        statistics = path(
            "statistics/", self.admin_site.admin_view(self.statistics_view), name="django_runbook_run_statistics"
        )
        return [statistics, live]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Render the list of runs, with what did not run as scheduled."""
        # Each command of a project with an admin imports this file at its start; only this page needs the schedules.
        from django_runbook.pages.missed_runs import missed_runs

        context = {"missed": missed_runs() if self.has_view_permission(request) else None, **(extra_context or {})}
        return super().changelist_view(request, context)

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
            "statistics_url": f"{self.url('run_statistics')}?{urlencode({'runbook': page.run.runbook})}",
            "live_url": self.url("run_live", quote(page.run.id)),
            **(extra_context or {}),
        }
        return self.respond(request, "django_runbook/run.html", **context)

    def statistics_view(self, request: HttpRequest) -> HttpResponse:
        """Render how the durations of a runbook have moved."""
        runbook = request.GET.get("runbook", "")
        if not self.has_view_permission(request):
            raise PermissionDenied
        if not runbook or "\0" in runbook:
            raise Http404("The page needs the name of a runbook.")
        # Only this page needs them.
        from django_runbook.forecasts.statistics import read_statistics
        from django_runbook.pages.statistics_page import statistics_page

        head, _, tail = self.url("run_change", 0).rpartition("/0/")
        statistics = read_statistics(runbook, using=self.get_queryset(request).db)
        page = statistics_page(statistics, url_of=lambda run_id: f"{head}/{quote(run_id)}/{tail}")
        return self.respond(request, "django_runbook/statistics.html", title="Durations", page=page)

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
            "status": formatting.LABELS[page.status],
            "counts": page.counts,
            "seconds": page.timeline.axis.seconds if page.timeline else 0,
            "summary": get_template("django_runbook/includes/summary.html").render({"page": page}),
            "axis": get_template("django_runbook/includes/axis.html").render({"page": page}),
            "rows": rows,
            # In a run with very many steps, rows may disappear from the page.
            "keys": [row.key for row in page.timeline.rows] if page.timeline and page.omitted else None,
        }
        return JsonResponse(answer)

    def _page(self, request: HttpRequest, run_id: str) -> RunPage:
        if not self.has_view_permission(request):
            raise PermissionDenied
        pk = unquote(run_id)
        run = None if "\0" in pk else self.get_queryset(request).filter(pk=pk).first()
        if run is None:
            raise Http404(f"Run {run_id} was not found.")
        return run_page(run, new_lock=project_locks.new_lock(), urls=self._urls(request))

    def _urls(self, request: HttpRequest) -> Urls | None:
        if not may_view(request, StepRun):
            return None
        rows = self.url("failedrow_changelist")
        # Reversing one URL is faster than reversing a thousand.
        head, _, tail = self.url("steprun_change", 0).rpartition("/0/")
        return Urls(
            step=lambda pk: f"{head}/{pk}/{tail}",
            failed_rows=(lambda scope: f"{rows}?{urlencode({'scope': scope})}")
            if may_view(request, FailedRow)
            else None,
        )


def _process_state(run: Run) -> ProcessState:
    """Return whether `RunList` found the process of a run alive."""
    process_state: ProcessState = run.process_state  # type: ignore[attr-defined]  # an attribute that the list gives its rows
    return process_state
