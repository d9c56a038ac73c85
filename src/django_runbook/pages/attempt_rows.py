"""Reads the rows of a run's steps, without their output and not too many of them."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Final

from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Left

from django_runbook.models import RUNNING, Run, StepRun, seconds_between, seconds_taken
from django_runbook.results import StepStatus
from django_runbook.structs import Struct

# A run with more attempts is shown without most of the successful ones.
MAX_ATTEMPTS: Final = 2000
# An error message may be very long, but is shown on one line.
_MAX_TEXT: Final = 300


class Attempt(Struct):
    """Holds one row of a step, without its long columns."""

    pk: int
    step_id: str
    attempt: int
    run_attempt: int
    name: str
    role: str
    kind: str
    group_ids: list[str]
    status: str
    ignored: bool
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
        """Return the duration of this attempt alone: the stored duration of a retry is that of the whole step."""
        if self.finished_at is None:
            return seconds_between(self.started_at, now if self.status == RUNNING else None)
        measured = None if is_retry else self.duration_seconds
        return seconds_taken(self.started_at, self.finished_at, measured=measured)


class Attempts(Struct):
    """Holds attempts in the order in which they were written.

    If there are too many to show, the last ``succeeded_count`` successful ones are omitted, and if that is not enough,
    the last ``other_count`` of the others.
    """

    rows: tuple[Attempt, ...]
    succeeded_count: int = 0
    other_count: int = 0


def retries(attempts: Sequence[Attempt]) -> list[bool]:
    """Return for each attempt of a step whether it followed another one in the same attempt of the run."""
    called = [attempt.run_attempt if attempt.started_at is not None else None for attempt in attempts]
    return [number is not None and number in called[:index] for index, number in enumerate(called)]


def attempts_of(run: Run) -> Attempts:
    """Read the attempts of all steps of a run, up to the number that a page can show."""
    every = StepRun.objects.filter(run=run)
    rows = _read(every)
    if len(rows) <= MAX_ATTEMPTS:
        return Attempts(rows=rows)
    succeeded = every.filter(status=StepStatus.SUCCEEDED, kind="command")
    # Failed attempts of a step that succeeded later are omitted first.
    later = succeeded.filter(step_id=OuterRef("step_id"), attempt__gt=OuterRef("attempt"))
    others = every.exclude(status=StepStatus.SUCCEEDED, kind="command").exclude(Exists(later))
    bad_rows = _read(others)[:MAX_ATTEMPTS]
    first_rows = _read(succeeded)[: MAX_ATTEMPTS - len(bad_rows)]
    return Attempts(
        rows=tuple(sorted((*bad_rows, *first_rows), key=_pk)),
        succeeded_count=succeeded.count() - len(first_rows),
        other_count=others.count() - len(bad_rows),
    )


def _pk(attempt: Attempt) -> int:
    return attempt.pk


def attempts_at(step: StepRun) -> tuple[Attempt, ...]:
    """Read the attempts of one step, oldest first."""
    return _read(StepRun.objects.filter(run=step.run_id, step_id=step.step_id))


def _read(rows: QuerySet[StepRun]) -> tuple[Attempt, ...]:
    short = {f"short_{name}": Left(name, _MAX_TEXT) for name in ("name", "reason", "message")}
    names = [name for name in Attempt.__struct_fields__ if name not in {"name", "reason", "message"}]
    found = rows.order_by("pk").annotate(**short).values_list(*names, *short)[: MAX_ATTEMPTS + 1]
    return tuple(
        Attempt(**dict(zip([*names, *(name.removeprefix("short_") for name in short)], values, strict=True)))
        for values in found
    )
