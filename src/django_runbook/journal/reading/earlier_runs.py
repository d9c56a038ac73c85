"""Finds out how the run before another one of the same runbook has ended."""

from __future__ import annotations

from django.db.models import Q

from django_runbook.models import RUNNING, Run
from django_runbook.results import RunStatus

_FINE = (RunStatus.SUCCEEDED.value, RunStatus.WARNING.value)


def has_failed_before(run_id: str, *, using: str) -> bool:
    """Return whether the newest other run of its runbook that has ended had failed.

    A run that was skipped because its file allows it, while the lock was held, does not count.
    """
    rows = Run.objects.using(using)
    runbook = rows.filter(pk=run_id).values("runbook")[:1]
    skipped = Q(status=RunStatus.REFUSED.value, exit_code=0)
    others = rows.filter(runbook=runbook).exclude(pk=run_id).exclude(status=RUNNING).exclude(skipped)
    newest = others.newest_first().values_list("status", flat=True).first()
    return newest is not None and newest not in _FINE
