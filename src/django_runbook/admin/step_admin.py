"""Shows the page of each attempt of a step."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.template.loader import get_template
from django.urls import URLPattern, path

from django_runbook.admin import project_locks
from django_runbook.admin.read_only_admin import ReadOnlyAdmin, may_view
from django_runbook.journal.liveness import process_state_of
from django_runbook.models import Run, StepRun
from django_runbook.pages import formatting
from django_runbook.pages.step_page import live_step_page, step_page, without_long_output


@admin.register(StepRun)
class StepRunAdmin(ReadOnlyAdmin):
    """Shows the page of each attempt of a step; the page of the run lists them."""

    def has_module_permission(self, request: HttpRequest) -> bool:
        return False

    def own_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.live_view)
        return [path("<path:object_id>/live/", view, name="django_runbook_steprun_live")]

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
        step = self._step(request, object_id)
        context = {
            "title": f"Step {step.step_id}",
            "page": step_page(step, process_state_of(step.run, project_locks.new_lock())),
            "live_url": self.url("steprun_live", step.pk),
            **(extra_context or {}),
        }
        return self.respond(request, "django_runbook/step.html", **context)

    def live_view(self, request: HttpRequest, object_id: str) -> JsonResponse:
        """Return the headline of a running step, and its lines after those that the page has."""
        step = self._step(request, object_id)
        state = process_state_of(step.run, project_locks.new_lock())
        page = live_step_page(step, state, seen_count=_number(request.GET.get("seen", "")) or 0)
        lines = page.new_lines
        answer = {
            "headline": get_template("django_runbook/includes/step_headline.html").render({"page": page}).strip(),
            "status": formatting.LABELS.get(page.status, page.status),
            "head": lines.head,
            "omitted": f"{formatting.number(lines.omitted_count)} lines omitted" if lines.omitted_count else "",
            "tail": lines.tail,
            "seen_count": lines.seen_count,
            "is_finished": not page.is_live,
        }
        return JsonResponse(answer)

    def _step(self, request: HttpRequest, object_id: str) -> StepRun:
        if not self.has_view_permission(request) or not may_view(request, Run):
            raise PermissionDenied
        rows = self.get_queryset(request).select_related("run")
        step: StepRun | None = without_long_output(rows).filter(pk=_number(object_id)).first()
        if step is None:
            raise Http404(f"The attempt {object_id} was not found.")
        return step


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
