"""Times of a run to places on an axis, to scale, from which the pauses between the attempts of the run are cut."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from django_runbook.models import Run
from django_runbook.pages import words
from django_runbook.pages.attempts import Attempt

_MAX_TICKS: Final = 6
_STEPS: Final = (
    *(unit * factor for unit in (0.001, 0.01, 0.1, 1) for factor in (1, 2, 5)),
    *(10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400),
)
# The smallest bar that can be seen, and be pointed at.
_MIN_WIDTH: Final = 0.4
# Beyond this place a label would be cut off, and is written before it.
_LABEL_END: Final = 94.0
_EMPTY_SECONDS: Final = 0.001


def percent(value: float) -> str:
    """A length in SVG; never in the words of a language, where 12,5 is no number."""
    return f"{value:.2f}%"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One attempt of the run: when it began, how long it took, and where on the axis it begins."""

    begin: datetime.datetime
    seconds: float
    offset: float

    @property
    def end(self) -> datetime.datetime:
        return self.begin + datetime.timedelta(seconds=self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """A place on the axis with what is written there; ``anchor`` is SVG's word for the side on which it stands."""

    place: str
    label: str
    anchor: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A part of the axis: in seconds, and as SVG's ``x`` and ``width``, which are wide enough to be seen."""

    begin: str
    end: str
    x: str
    width: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """The time that the run was at work; ``parts`` are its attempts, by their number."""

    parts: dict[int, Part]
    seconds: float

    @classmethod
    def of(cls, run: Run, attempts: Iterable[Attempt], *, now: datetime.datetime | None) -> Self:
        """The axis of a run; ``now`` is None for one whose process is not at work."""
        parts: dict[int, Part] = {}
        offset = 0.0
        by_part = {number: list(rows) for number, rows in _by_run_attempt(attempts)}
        # A run that is resumed while its page is made has rows of an attempt that it does not know of yet.
        for number in range(1, max(run.attempt_count, *by_part, 1) + 1):
            begin, end = _bounds(run, number, by_part.get(number, []), now=now)
            if begin is not None:
                seconds = max(0.0, (end - begin).total_seconds())
                parts[number] = Part(begin=begin, seconds=seconds, offset=offset)
                offset += seconds
        return cls(parts=parts, seconds=max(offset, _EMPTY_SECONDS))

    def at(self, moment: datetime.datetime, run_attempt: int) -> float:
        """Where a time is, in seconds."""
        part = self.parts[run_attempt]
        inside = max(0.0, (moment - part.begin).total_seconds())
        return part.offset + min(inside, part.seconds)

    def stretch(self, begin: datetime.datetime, end: datetime.datetime | None, run_attempt: int) -> Stretch:
        """What a bar covers; without an end it reaches to that of its attempt."""
        first = self.at(begin, run_attempt)
        last = self.at(end or self.parts[run_attempt].end, run_attempt)
        left, right = 100 * first / self.seconds, 100 * last / self.seconds
        width = max(right - left, _MIN_WIDTH)
        return Stretch(
            begin=f"{first:.3f}", end=f"{last:.3f}", x=percent(max(0.0, min(left, 100 - width))), width=percent(width)
        )

    @property
    def ticks(self) -> list[Mark]:
        """Round times, few enough to be read."""
        days = itertools.count(172800, 86400)
        step = next(step for step in itertools.chain(_STEPS, days) if self.seconds / step <= _MAX_TICKS)
        count = int(self.seconds / step)
        return [_mark(100 * n * step / self.seconds, words.span(round(n * step, 3))) for n in range(count + 1)]

    @property
    def seams(self) -> list[Mark]:
        """Where the run was resumed, and how long it had lain there."""
        pairs = itertools.pairwise(self.parts.values())
        return [
            _mark(100 * after.offset / self.seconds, f"resumed after {words.pause(_between(before, after))}")
            for before, after in pairs
        ]


def _mark(place: float, label: str) -> Mark:
    anchor = "start" if place < 100 - _LABEL_END else "end" if place > _LABEL_END else "middle"
    return Mark(place=percent(place), label=label, anchor=anchor)


def _between(before: Part, after: Part) -> float:
    return max(0.0, (after.begin - before.end).total_seconds())


def _by_run_attempt(attempts: Iterable[Attempt]) -> Iterable[tuple[int, Iterable[Attempt]]]:
    return itertools.groupby(sorted(attempts, key=_run_attempt), key=_run_attempt)


def _run_attempt(attempt: Attempt) -> int:
    return attempt.run_attempt


def _bounds(
    run: Run, number: int, attempts: list[Attempt], *, now: datetime.datetime | None
) -> tuple[datetime.datetime | None, datetime.datetime]:
    """When an attempt of the run began and ended, as far as it is known."""
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
