"""Shows the run history in Django's admin, read-only; only ``prune_runs`` deletes runs."""

from __future__ import annotations

from django_runbook.admin.batch_admin import CheckpointAdmin, FailedRowAdmin, FinishedKeyAdmin
from django_runbook.admin.run_admin import RunAdmin
from django_runbook.admin.step_admin import StepRunAdmin

__all__ = ("CheckpointAdmin", "FailedRowAdmin", "FinishedKeyAdmin", "RunAdmin", "StepRunAdmin")
