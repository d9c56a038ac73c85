"""Judges by its schedule and its runs whether a runbook ran when it was due."""

from __future__ import annotations

import datetime
import enum
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from django_runbook import wording
from django_runbook.document.runbook import Runbook, Schedule
from django_runbook.results import RunStatus
from django_runbook.schedules.times import previous_due, zone_of
from django_runbook.structs import Struct

# Clocks of two hosts may differ by this much: a run that started a little too early counts.
_EARLY: Final = datetime.timedelta(minutes=1)
_MOMENT: Final = datetime.timedelta(microseconds=1)
# At most this many missed times are counted.
MAX_MISSED: Final = 100
# A run whose history has no forecast is stuck after this time without a step that started or ended.
STUCK_SECONDS: Final = 6 * 3600.0
_STUCK_FACTOR: Final = 2.0
_LEAST_STUCK_SECONDS: Final = 3600.0
_FINE: Final = frozenset((RunStatus.SUCCEEDED.value, RunStatus.WARNING.value))


class ScheduleState(enum.StrEnum):
    """Lists the states of a runbook, the worst last."""

    OK = "ok"
    LATE = "late"
    FAILING = "failing"
    MISSING = "missing"
    STUCK = "stuck"
    INVALID = "invalid"


class RecordedRun(Struct):
    """Holds what matters of a recorded run; times are aware.

    ``is_running`` is true if its row says so; ``is_dead`` means that its process has died. ``active_at``
    is when a step last started or ended, and ``most_seconds`` the 95th percentile of its forecast. A run
    ``is_refused`` if another one held its lock, and ``is_skipped`` if its file allows that.
    """

    started_at: datetime.datetime
    status: str
    exit_code: int | None = None
    is_running: bool = False
    is_dead: bool = False
    active_at: datetime.datetime | None = None
    most_seconds: float | None = None

    @property
    def is_refused(self) -> bool:
        return self.status == RunStatus.REFUSED.value

    @property
    def is_skipped(self) -> bool:
        return self.is_refused and not self.exit_code

    @property
    def is_fine(self) -> bool:
        return self.status in _FINE


class Limits(Struct):
    """Holds the options of the check; ``stuck_seconds`` is None if the forecasts of the runs decide."""

    grace_seconds: float = 600.0
    stuck_seconds: float | None = None


class Problem(NamedTuple):
    """Describes one problem of a runbook and when it began."""

    state: ScheduleState
    text: str
    since: datetime.datetime | None = None


class RunbookState(Struct):
    """Holds what is known about one runbook; ``document`` is None if its file cannot be read."""

    runbook: str
    document: Runbook | None = None
    problems: tuple[Problem, ...] = ()
    last_started_at: datetime.datetime | None = None
    last_success_at: datetime.datetime | None = None
    next_due_at: datetime.datetime | None = None

    @property
    def state(self) -> ScheduleState:
        """Return the worst state."""
        order = list(ScheduleState)
        return max((problem.state for problem in self.problems), key=order.index, default=ScheduleState.OK)

    @property
    def text(self) -> str:
        return "; ".join(problem.text for problem in self.problems)


def problems_of(
    schedule: Schedule | None,
    runs: Sequence[RecordedRun],
    *,
    now: datetime.datetime,
    limits: Limits,
    known_since: datetime.datetime | None = None,
) -> tuple[Problem, ...]:
    """Return the problems of a runbook; ``runs`` are its newest ones, the newest first.

    A runbook that has never run is known from ``known_since`` on: times before are not due.
    """
    found = [*_stuck(runs, now=now, limits=limits), *_failing(runs)]
    if schedule is not None:
        found += _missed(schedule, runs, now=now, limits=limits, known_since=known_since)
    return tuple(found)


def _stuck(runs: Sequence[RecordedRun], *, now: datetime.datetime, limits: Limits) -> Iterator[Problem]:
    for run in runs:
        if not run.is_running:
            continue
        since = run.active_at or run.started_at
        quiet_seconds = (_in_utc(now) - _in_utc(since)).total_seconds()
        if run.is_dead:
            # A newer run that ended well has done its work.
            if run is runs[0] or not any(other.is_fine for other in runs[: runs.index(run)]):
                yield Problem(ScheduleState.STUCK, f"the process of the run of {_shown(run.started_at)} is dead", since)
        elif quiet_seconds >= _stuck_seconds(run, limits):
            quiet = wording.short_duration(quiet_seconds)
            yield Problem(ScheduleState.STUCK, f"running, and no step has started or ended for {quiet}", since)


def _stuck_seconds(run: RecordedRun, limits: Limits) -> float:
    if limits.stuck_seconds is not None:
        return limits.stuck_seconds
    if run.most_seconds is None:
        return STUCK_SECONDS
    return max(_LEAST_STUCK_SECONDS, _STUCK_FACTOR * run.most_seconds)


def _failing(runs: Sequence[RecordedRun]) -> Iterator[Problem]:
    """Yield the failures since the last success; a dead run is reported as what it is."""
    failed = []
    for run in runs:
        if run.is_fine:
            break
        if not run.is_running and not run.is_skipped:
            failed.append(run)
    if failed:
        count = wording.number_of(len(failed), "run")
        code = failed[0].exit_code
        last = f"{failed[0].status}, exit code {code}" if code is not None else failed[0].status
        first = failed[-1].started_at
        yield Problem(ScheduleState.FAILING, f"failing since {_shown(first)}, {count}, the last one {last}", first)


def _missed(
    schedule: Schedule,
    runs: Sequence[RecordedRun],
    *,
    now: datetime.datetime,
    limits: Limits,
    known_since: datetime.datetime | None,
) -> Iterator[Problem]:
    if any(run.is_running and not run.is_dead for run in runs):
        # The scheduler waits for it, or is refused by its lock.
        return
    # A refused run has done nothing, unless its file allows that another run does its work.
    began = next((run.started_at for run in runs if not run.is_refused or run.is_skipped), None)
    start = _in_utc(began) + _EARLY if began is not None else known_since
    late_by = datetime.timedelta(seconds=limits.grace_seconds + schedule.jitter_seconds)
    missed = list(_missed_times(schedule, after=start, until=_in_utc(now) - late_by))
    if not missed:
        return
    last, first = missed[0], missed[-1]
    if began is None:
        yield Problem(ScheduleState.MISSING, f"has never run, and was due at {_shown(first, schedule)}", first)
    elif len(missed) == 1:
        yield Problem(ScheduleState.LATE, f"was due at {_shown(last, schedule)}, and has not started", last)
    else:
        count = f"{len(missed)} times" if len(missed) < MAX_MISSED else f"{MAX_MISSED} times or more"
        yield Problem(
            ScheduleState.MISSING, f"was due {count} since {_shown(first, schedule)}, and has not started", first
        )


def _missed_times(
    schedule: Schedule, *, after: datetime.datetime | None, until: datetime.datetime
) -> Iterator[datetime.datetime]:
    """Yield the due times of an interval, the newest first."""
    if after is None:
        return
    before = until + _MOMENT
    for _ in range(MAX_MISSED):
        due = previous_due(schedule, before=before)
        if due is None or due <= after:
            return
        yield due
        before = due


def _in_utc(at: datetime.datetime) -> datetime.datetime:
    """Return a time in a zone without changes of clocks, in which times can be added and subtracted."""
    return at.astimezone(datetime.UTC)


def _shown(at: datetime.datetime, schedule: Schedule | None = None) -> str:
    shown = at if schedule is None else at.astimezone(zone_of(schedule))
    return shown.strftime("%Y-%m-%d %H:%M %Z").strip()
