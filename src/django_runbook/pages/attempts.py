"""The rows of a run's steps to plain values, in one query that reads no output."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.db.models import QuerySet
from django.db.models.functions import Left

from django_runbook.models import RUNNING, Run, StepRun, seconds_between, seconds_taken
from django_runbook.results import StepStatus

# Of a run with more attempts than that, those that went well are left out.
MAX_ATTEMPTS: Final = 2000
# What fits on a line; an error's message may be a book.
_MAX_TEXT: Final = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One row of a step, without what is long."""

    pk: int
    step_id: str
    attempt: int
    run_attempt: int
    name: str
    role: str
    kind: str
    group_ids: list[str]
    status: str
    tolerated: bool
    reason: str
    error_type: str
    message: str
    done_count: int | None
    total_count: int | None
    failed_count: int
    file: str
    line: int
    started_at: datetime.datetime | None
    finished_at: datetime.datetime | None
    duration_seconds: float | None

    def took_seconds(self, *, is_retry: bool, now: datetime.datetime | None = None) -> float | None:
        """Return how long it took, or takes, alone: with a retry, the time of the whole step is stored."""
        if self.finished_at is None:
            return seconds_between(self.started_at, now if self.status == RUNNING else None)
        measured = None if is_retry else self.duration_seconds
        return seconds_taken(self.started_at, self.finished_at, measured=measured)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """In the order in which they were written. Where they are too many to show, ``succeeded_count`` of those that went
    well are left out, and where that is not enough, the last ``cut_count`` of the others."""

    rows: tuple[Attempt, ...]
    succeeded_count: int = 0
    cut_count: int = 0


def retries(attempts: Sequence[Attempt]) -> list[bool]:
    """Return of each attempt of a step whether it followed another one in the same attempt of the run."""
    called = [attempt.run_attempt if attempt.started_at is not None else None for attempt in attempts]
    return [number is not None and number in called[:index] for index, number in enumerate(called)]


def attempts_of(run: Run) -> Attempts:
    """The attempts of all steps of a run, as far as a page can show them."""
    every = StepRun.objects.filter(run=run)
    rows = _read(every)
    if len(rows) <= MAX_ATTEMPTS:
        return Attempts(rows=rows)
    others = every.exclude(status=StepStatus.SUCCEEDED, kind="command")
    rows, other_count = _read(others)[:MAX_ATTEMPTS], others.count()
    return Attempts(rows=rows, succeeded_count=every.count() - other_count, cut_count=other_count - len(rows))


def attempts_at(step: StepRun) -> tuple[Attempt, ...]:
    """The attempts of one step, oldest first."""
    return _read(StepRun.objects.filter(run=step.run_id, step_id=step.step_id))


def _read(rows: QuerySet[StepRun]) -> tuple[Attempt, ...]:
    short = {f"short_{name}": Left(name, _MAX_TEXT) for name in ("name", "reason", "message")}
    names = [name for name in Attempt.__slots__ if name not in {"name", "reason", "message"}]
    found = rows.order_by("pk").annotate(**short).values_list(*names, *short)[: MAX_ATTEMPTS + 1]
    return tuple(
        Attempt(**dict(zip([*names, *(name.removeprefix("short_") for name in short)], values, strict=True)))
        for values in found
    )
