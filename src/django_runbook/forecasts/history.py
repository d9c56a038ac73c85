"""Reads the figures of earlier runs of a runbook, in one query."""

from __future__ import annotations

import contextlib
import datetime
from typing import Final

from django.db import connections, transaction
from django.utils import timezone

from django_runbook.forecasts.figures import RunFigures
from django_runbook.forecasts.judgments import History, PastRun
from django_runbook.models import Run

# Four months of nights.
MAX_RUNS: Final = 120


def read_history(runbook: str, kind: str, *, using: str) -> History:
    """Return the newest runs of a runbook that are of a kind; no more than `MAX_RUNS` rows are read."""
    runs = Run.objects.using(using).of(runbook).filter(figures__isnull=False).newest_first()
    # A failed query must not break a transaction around the run, such as that of a test.
    inside = connections[using].in_atomic_block
    with transaction.atomic(using=using) if inside else contextlib.nullcontext():
        rows = list(runs.values_list("started_at", "figures")[:MAX_RUNS])
    return History(
        runs=tuple(
            PastRun(day_of(started_at), RunFigures.of_json(figures))
            for started_at, figures in rows
            if figures is not None and figures["kind"] == kind
        )
    )


def day_of(at: datetime.datetime) -> datetime.date:
    """Return the day of a stored time in the time zone of the project."""
    return timezone.localdate(at) if timezone.is_aware(at) else at.date()
