"""Reads the runs of runbooks that the check of their schedules needs."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Final

from django.db.models import Max
from django.utils import timezone

from django_runbook.journal.liveness import ProcessState, process_states_of
from django_runbook.journal.reading.stored_comparison import forecast_of
from django_runbook.locks.factory import Locks
from django_runbook.models import RUNNING, Run, RunQuerySet, StepRun
from django_runbook.monitoring.states import FINE, RecordedRun
from django_runbook.results import RunStatus

# The newest ones, and as many older ones that were not refused.
MAX_RUNS: Final = 50
_COLUMNS: Final = ("id", "runbook", "started_at", "status", "exit_code", "lock_backend", "forecast")


def read_runs(runbook: str, *, using: str, locks: Locks) -> list[RecordedRun]:
    """Return the newest runs of a runbook in one query, those older ones that matter, and what running ones do."""
    runs = Run.objects.using(using).of(runbook).newest_first().only(*_COLUMNS)
    rows = list(runs[:MAX_RUNS])
    if len(rows) == MAX_RUNS:
        rows += _older(runs, newest=rows)
    running = [row for row in rows if row.status == RUNNING]
    states = process_states_of(running, locks) if running else {}
    active = _activity(running, using=using) if running else {}
    return [
        RecordedRun(
            started_at=aware(row.started_at),
            status=row.status,
            exit_code=row.exit_code,
            is_running=row.status == RUNNING,
            is_dead=states.get(row.pk) is ProcessState.DEAD,
            active_at=active.get(row.pk),
            most_seconds=forecast.most_seconds if (forecast := forecast_of(row.forecast)) else None,
        )
        for row in rows
    ]


def _older(runs: RunQuerySet, *, newest: Sequence[Run]) -> list[Run]:
    """Return the older runs without which the newest ones would mislead.

    Its lock may have refused many runs since one hangs, and many may have failed since the last success.
    """
    known = {row.pk for row in newest}
    runs = runs.filter(started_at__lte=newest[-1].started_at)
    queries = [runs.filter(status=RUNNING)[:MAX_RUNS]]
    if not any(row.status in FINE for row in newest):
        queries += [runs.exclude(status=RunStatus.REFUSED.value)[:MAX_RUNS], runs.filter(status__in=FINE)[:1]]
    found = {row.pk: row for query in queries for row in query if row.pk not in known}
    return sorted(found.values(), key=lambda row: (row.started_at, row.pk), reverse=True)


def aware(at: datetime.datetime) -> datetime.datetime:
    """Return a stored time in the time zone of the project."""
    return timezone.localtime(at if timezone.is_aware(at) else timezone.make_aware(at))


def _activity(running: Sequence[Run], *, using: str) -> dict[str, datetime.datetime]:
    """Return when a step of each run last started or ended."""
    rows = StepRun.objects.using(using).filter(run__in=running).values("run_id")
    found = {
        row["run_id"]: [at for at in (row["started"], row["finished"]) if at is not None]
        for row in rows.annotate(started=Max("started_at"), finished=Max("finished_at"))
    }
    return {run_id: aware(max(times)) for run_id, times in found.items() if times}
