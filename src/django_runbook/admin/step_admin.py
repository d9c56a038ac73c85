"""Shows the page of each attempt of a step."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect

from django_runbook.admin import project_locks
from django_runbook.admin.read_only_admin import ReadOnlyAdmin, may_view
from django_runbook.journal.liveness import process_state_of
from django_runbook.models import Run, StepRun
from django_runbook.pages.step_page import step_page, without_long_output


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
            "page": step_page(step, process_state_of(step.run, project_locks.new_lock())),
            **(extra_context or {}),
        }
        return self.respond(request, "django_runbook/step.html", **context)


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None
