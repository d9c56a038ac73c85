"""Maps times of a run to positions on an axis, which omits the pauses between the attempts of the run."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterable
from typing import Final, Self

from django_runbook import wording
from django_runbook.models import Run
from django_runbook.pages.attempt_rows import Attempt
from django_runbook.structs import Struct

_MAX_TICKS: Final = 6
_STEPS: Final = (
    *(unit * factor for unit in (0.001, 0.01, 0.1, 1) for factor in (1, 2, 5)),
    *(10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400),
)
# The smallest bar that can be seen and clicked.
_MIN_WIDTH: Final = 0.4
# After this position, a label would be truncated, so it ends at the position instead.
_LABEL_END: Final = 94.0
_EMPTY_SECONDS: Final = 0.001


def percent(value: float) -> str:
    """Format a length for SVG, independently of the locale."""
    return f"{value:.2f}%"


class AttemptSegment(Struct):
    """Holds one attempt of the run: its start, its duration, and its offset on the axis."""

    begin: datetime.datetime
    seconds: float
    offset: float

    @property
    def end(self) -> datetime.datetime:
        return self.begin + datetime.timedelta(seconds=self.seconds)


class AxisLabel(Struct):
    """Labels a position on the axis; ``anchor`` is SVG's ``text-anchor``."""

    place: str
    label: str
    anchor: str


class Stretch(Struct):
    """Locates a bar on the axis, in seconds and as SVG's ``x`` and ``width``, which is wide enough to be seen."""

    begin: str
    end: str
    x: str
    width: str


class Axis(Struct):
    """Represents the time during which the run was running; ``segments`` are its attempts, by number."""

    segments: dict[int, AttemptSegment]
    seconds: float

    @classmethod
    def of(cls, run: Run, attempts: Iterable[Attempt], *, now: datetime.datetime | None) -> Self:
        """Create the axis of a run; ``now`` is None if its process is not running."""
        segments: dict[int, AttemptSegment] = {}
        offset = 0.0
        by_attempt = {number: list(rows) for number, rows in _by_run_attempt(attempts)}
        # A run that is resumed during the request has steps of an attempt that its own row does not count yet.
        for number in range(1, max(run.attempt_count, *by_attempt, 1) + 1):
            begin, end = _bounds(run, number, by_attempt.get(number, []), now=now)
            if begin is not None:
                seconds = max(0.0, (end - begin).total_seconds())
                segments[number] = AttemptSegment(begin=begin, seconds=seconds, offset=offset)
                offset += seconds
        return cls(segments=segments, seconds=max(offset, _EMPTY_SECONDS))

    def at(self, moment: datetime.datetime, run_attempt: int) -> float:
        """Return the position of a time, in seconds."""
        segment = self.segments[run_attempt]
        inside = max(0.0, (moment - segment.begin).total_seconds())
        return segment.offset + min(inside, segment.seconds)

    def stretch(self, begin: datetime.datetime, end: datetime.datetime | None, run_attempt: int) -> Stretch:
        """Locate a bar; without an end, it extends to the end of its attempt of the run."""
        first = self.at(begin, run_attempt)
        last = self.at(end or self.segments[run_attempt].end, run_attempt)
        left, right = 100 * first / self.seconds, 100 * last / self.seconds
        width = max(right - left, _MIN_WIDTH)
        return Stretch(
            begin=f"{first:.3f}", end=f"{last:.3f}", x=percent(max(0.0, min(left, 100 - width))), width=percent(width)
        )

    @property
    def ticks(self) -> list[AxisLabel]:
        """Return labels at round times, few enough to be legible."""
        days = itertools.count(172800, 86400)
        step = next(step for step in itertools.chain(_STEPS, days) if self.seconds / step <= _MAX_TICKS)
        count = int(self.seconds / step)
        return [_label(100 * n * step / self.seconds, _tick_label(n * step)) for n in range(count + 1)]

    @property
    def resumes(self) -> list[AxisLabel]:
        """Return labels where the run was resumed, with the length of the pause."""
        pairs = itertools.pairwise(self.segments.values())
        return [
            _label(100 * after.offset / self.seconds, f"resumed after {_pause(before, after)}")
            for before, after in pairs
        ]


def _label(place: float, label: str) -> AxisLabel:
    anchor = "start" if place < 100 - _LABEL_END else "end" if place > _LABEL_END else "middle"
    return AxisLabel(place=percent(place), label=label, anchor=anchor)


def _tick_label(seconds: float) -> str:
    return wording.exact_duration(round(seconds, 3)) if seconds else "0"


def _pause(before: AttemptSegment, after: AttemptSegment) -> str:
    return wording.short_duration(max(0.0, (after.begin - before.end).total_seconds()))


def _by_run_attempt(attempts: Iterable[Attempt]) -> Iterable[tuple[int, Iterable[Attempt]]]:
    return itertools.groupby(sorted(attempts, key=_run_attempt), key=_run_attempt)


def _run_attempt(attempt: Attempt) -> int:
    return attempt.run_attempt


def _bounds(
    run: Run, number: int, attempts: list[Attempt], *, now: datetime.datetime | None
) -> tuple[datetime.datetime | None, datetime.datetime]:
    """Return when an attempt of the run started and ended, as far as it is known."""
    known = [at for attempt in attempts for at in (attempt.started_at, attempt.finished_at) if at is not None]
    begin = min(known, default=None)
    if number == 1:
        begin = run.started_at
    elif number == run.attempt_count:
        begin = run.resumed_at or begin
    is_last = number == run.attempt_count
    if is_last and begin is not None and run.duration_seconds is not None:
        return begin, begin + datetime.timedelta(seconds=run.duration_seconds)
    last = run.finished_at or now if is_last else None
    ends = [*known, *([last] if last else []), *([begin] if begin else [])]
    return begin, max(ends, default=run.started_at)
