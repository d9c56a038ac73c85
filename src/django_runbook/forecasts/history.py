"""Reads the figures of earlier runs of a runbook, in one query."""

from __future__ import annotations

import contextlib
import datetime
from typing import Final

from django.db import connections, transaction
from django.utils import timezone

from django_runbook import wording
from django_runbook.forecasts.figures import MAX_STEPS, RunFigures
from django_runbook.forecasts.judgments import History, PastRun
from django_runbook.models import Run

# Four months of nights.
MAX_RUNS: Final = 120
# The start of a run must not take long because it has hundreds of steps. Of the largest runbooks, 60 runs are read:
# enough for five of each weekday, without the first and the last days of months.
_MAX_FIGURES: Final = 30_000


def read_history(runbook: str, kind: str, *, step_count: int, using: str) -> History:
    """Return what `query_history` returns; a failed query breaks no transaction around it, such as that of a test."""
    inside = connections[using].in_atomic_block
    with transaction.atomic(using=using) if inside else contextlib.nullcontext():
        return query_history(runbook, kind, step_count=step_count, using=using)


def query_history(runbook: str, kind: str, *, step_count: int, using: str) -> History:
    """Return the newest runs of a runbook that are of a kind; of a runbook with many steps, fewer of them."""
    runs = Run.objects.using(using).of(runbook).comparable(kind).newest_first()
    count = min(MAX_RUNS, _MAX_FIGURES // min(max(step_count, 1), MAX_STEPS))
    rows = list(runs.values_list("pk", "started_at", "figures")[:count])
    found, broken = [], []
    for pk, started_at, figures in rows:
        try:
            found.append(PastRun(day_of(started_at), RunFigures.of_text(figures)))
        except ValueError as error:
            broken.append(f"{wording.short_id(pk)}: {error}")
    return History(runs=tuple(found), broken=tuple(broken))


def day_of(at: datetime.datetime) -> datetime.date:
    """Return the day of a stored time in the time zone of the project."""
    return timezone.localdate(at) if timezone.is_aware(at) else at.date()
