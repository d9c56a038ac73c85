"""Compares a value with those of earlier runs, as far as possible with those of similar days.

`docs/guide/forecasts.md` explains the rules.
"""

from __future__ import annotations

import datetime
import math
import statistics
from collections.abc import Iterable
from functools import cached_property, lru_cache
from typing import Final, NamedTuple, Self

# With fewer samples, nothing is said.
LEAST_SAMPLES: Final = 5
# A value is unusually slow above this multiple of the slow values, and by at least these seconds.
SLOW_FACTOR: Final = 2.0
LEAST_EXCESS_SECONDS: Final = 10.0
# Fewer rows than these may be none on another day.
LEAST_USUAL_COUNT: Final = 10
_RECENT: Final = 3
# The trend is that of these runs, and at most this factor.
_TREND: Final = 10
_MAX_TREND: Final = 1.25
# A longer duration than this multiple of the usual one may be an exception.
_CLOSE_FACTOR: Final = 1.5
_SHARE: Final = 0.95
_WEEKDAYS: Final = 7


class Sample(NamedTuple):
    """Holds the value of one earlier run."""

    day: datetime.date
    value: float


class Samples:
    """Holds the samples of a value, newest first, and groups them by weekdays once."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self.all = tuple(samples)
        self._usual: dict[int, float] = {}

    @classmethod
    def of(cls, pairs: Iterable[tuple[datetime.date, float | None]]) -> Self:
        """Leave out the days without a value."""
        return cls(Sample(day, value) for day, value in pairs if value is not None)

    def __len__(self) -> int:
        return len(self.all)

    def after(self, count: int) -> Samples:
        """Return the samples without the newest ones."""
        return Samples(self.all[count:])

    @cached_property
    def sorted_values(self) -> list[float]:
        return sorted(sample.value for sample in self.all)

    def median(self) -> float:
        return statistics.median(self.sorted_values)

    def most(self) -> float:
        """Return the 95th percentile: the smallest value that at least 95% of the samples do not exceed."""
        return self.sorted_values[math.ceil(_SHARE * len(self)) - 1]

    def usual(self, day: datetime.date) -> float:
        """Return the median of similar days."""
        weekday = day.weekday()
        if weekday not in self._usual:
            similar = self.similar(day)
            self._usual[weekday] = statistics.median(similar) if similar else self.median()
        return self._usual[weekday]

    def similar(self, day: datetime.date) -> list[float]:
        """Return the sorted values of the same weekday without edges of a month; none if there are too few days."""
        return self._similar[day.weekday()]

    def of_edge(self, day: datetime.date) -> list[Sample]:
        """Return the samples of the same edge of earlier months; none for a day in the middle of a month."""
        edge = _edge_of(day)
        return [sample for sample in self.all if _edge_of(sample.day) == edge] if edge else []

    @cached_property
    def _similar(self) -> tuple[list[float], ...]:
        found: tuple[list[Sample], ...] = tuple([] for _ in range(_WEEKDAYS))
        for sample in self.all:
            if not _edge_of(sample.day):
                found[sample.day.weekday()].append(sample)
        # A command that runs every minute has many samples of one day.
        return tuple(
            sorted(sample.value for sample in some) if len({sample.day for sample in some}) >= LEAST_SAMPLES else []
            for some in found
        )


def slow_limit(samples: Samples, day: datetime.date) -> float | None:
    """Return the seconds after which a step is unusually slow; None if there are too few samples to tell.

    The first and the last day of a month are often unlike all others, so the first one of its kind tells nothing.
    """
    if len(samples) < LEAST_SAMPLES or (_edge_of(day) and not samples.of_edge(day)):
        return None
    # A level multiplies what is usual: the longest time already is as long as it is by chance.
    raised = _with_trend(samples)
    at_edge = raised.usual(day) * _edge_level(raised, day)
    slow = max(_slow_value(raised, day), at_edge, samples.usual(day) * _level(samples))
    return max(SLOW_FACTOR * slow, slow + LEAST_EXCESS_SECONDS)


def is_unusually_none(samples: Samples, day: datetime.date, *, least_usual: float) -> bool:
    """Return whether nothing is unusual where earlier runs had something: ``least_usual`` or more by the median."""
    if len(samples) < LEAST_SAMPLES or samples.usual(day) < least_usual or _is_none_on_edge(samples, day):
        return False
    similar = samples.similar(day)
    if similar:
        return similar[_exceptions_in(similar)] > 0
    return samples.sorted_values[int(len(samples) * (1 - _SHARE))] > 0


def _is_none_on_edge(samples: Samples, day: datetime.date) -> bool:
    """Return whether this edge of a month has mostly nothing, where other days of the same weekday have something."""
    nones = [not sample.value for sample in samples.of_edge(day) if samples.usual(sample.day)]
    return 2 * sum(nones) > len(nones)


def _slow_value(samples: Samples, day: datetime.date) -> float:
    """Return the longest time that similar days usually take."""
    similar = samples.similar(day)
    if similar:
        # Runs that were unusual themselves must not hide the next one.
        return _longest(similar, exceptions=_exceptions_in(similar))
    # Of few runs, one that was unusual would be the 95th percentile.
    values = samples.sorted_values
    return max(_longest(values, exceptions=max(1, int(len(values) * (1 - _SHARE)))), *_of_weekday(samples, day), 0.0)


def _longest(values: list[float], *, exceptions: int) -> float:
    """Return the longest of sorted durations, without those exceptions that are far from the usual one."""
    kept, close = len(values) - exceptions, _CLOSE_FACTOR * statistics.median(values)
    return max(value for n, value in enumerate(values) if n < kept or value <= close)


def _of_weekday(samples: Samples, day: datetime.date) -> list[float]:
    """Return the values of earlier days of the same weekday."""
    return [one.value for one in samples.all if one.day.weekday() == day.weekday() and one.day != day]


def _exceptions_in(similar: list[float]) -> int:
    """Return how many runs at most count as exceptions."""
    return math.ceil(len(similar) / 8)


def _level(samples: Samples) -> float:
    """Return how much slower than usual all of the last runs were: what stays slow is reported for three days only."""
    if len(samples) < LEAST_SAMPLES + _RECENT:
        return 1.0
    return max(1.0, min(_ratios(samples.all[:_RECENT], samples.after(_RECENT)), default=1.0))


def _trend(samples: Samples) -> float:
    """Return how much slower than usual the last runs were by the median; a jump does not count."""
    if len(samples) < LEAST_SAMPLES + _RECENT:
        return 1.0
    ratios = _ratios(samples.all[:_TREND], samples.after(_RECENT))
    return min(max(1.0, statistics.median(ratios)), _MAX_TREND) if ratios else 1.0


def _with_trend(samples: Samples) -> Samples:
    """Return the samples with the older ones raised by the trend, which the last runs have in them."""
    trend = _trend(samples)
    if trend == 1:
        return samples
    older = (Sample(day, value * trend) for day, value in samples.all[_TREND:])
    return Samples((*samples.all[:_TREND], *older))


def _edge_level(samples: Samples, day: datetime.date) -> float:
    """Return how much slower than on other days of their weekdays the runs of this edge of a month were."""
    ratios = sorted(_ratios(samples.of_edge(day), samples))
    return max(1.0, ratios[(len(ratios) - 1) // 2]) if ratios else 1.0


def _ratios(some: Iterable[Sample], samples: Samples) -> list[float]:
    """Divide the durations of some runs by what is usual on their days."""
    pairs = [(sample.value, samples.usual(sample.day)) for sample in some]
    return [value / expected for value, expected in pairs if expected]


@lru_cache(maxsize=1000)
def _edge_of(day: datetime.date) -> str:
    """Return whether a day is the first or the last of its month; empty for other days."""
    if day.day == 1:
        return "first"
    return "last" if (day + datetime.timedelta(days=1)).day == 1 else ""
