"""Compares a value with those of earlier runs, as far as possible with those of similar days.

The samples of a value are ordered from the newest to the oldest. `docs/guide/forecasts.md` explains the rules.
"""

from __future__ import annotations

import datetime
import math
import statistics
from collections.abc import Sequence
from typing import Final, NamedTuple

# With fewer samples, nothing is said.
LEAST_SAMPLES: Final = 5
# A value is unusually slow above this multiple of the slow values, and by at least these seconds.
SLOW_FACTOR: Final = 2.0
LEAST_EXCESS_SECONDS: Final = 10.0
# Fewer rows than these may be none on another day.
LEAST_USUAL_COUNT: Final = 10
_RECENT: Final = 3
# A longer duration than this multiple of the usual one may be an exception.
_CLOSE_FACTOR: Final = 1.5
_SHARE: Final = 0.95


class Sample(NamedTuple):
    """Holds the value of one earlier run."""

    day: datetime.date
    value: float


Samples = Sequence[Sample]


def median(samples: Samples) -> float:
    return statistics.median(sample.value for sample in samples)


def usual(samples: Samples, day: datetime.date) -> float:
    """Return the median of similar days."""
    return median(_similar(samples, day) or samples)


def most(samples: Samples) -> float:
    """Return the 95th percentile: the smallest value that at least 95% of the samples do not exceed."""
    values = sorted(sample.value for sample in samples)
    return values[math.ceil(_SHARE * len(values)) - 1]


def slow_limit(samples: Samples, day: datetime.date) -> float | None:
    """Return the seconds after which a step is unusually slow; None if there are too few samples."""
    if len(samples) < LEAST_SAMPLES:
        return None
    slow = _slow_value(samples, day) * max(_level(samples), _edge_level(samples, day))
    return max(SLOW_FACTOR * slow, slow + LEAST_EXCESS_SECONDS)


def is_unusually_none(samples: Samples, day: datetime.date, *, least_usual: float) -> bool:
    """Return whether nothing is unusual where earlier runs had something: ``least_usual`` or more by the median."""
    if len(samples) < LEAST_SAMPLES or usual(samples, day) < least_usual or _is_none_on_edge(samples, day):
        return False
    similar = _similar(samples, day)
    values = sorted(sample.value for sample in similar or samples)
    return values[_exceptions_in(similar) if similar else int(len(values) * (1 - _SHARE))] > 0


def _is_none_on_edge(samples: Samples, day: datetime.date) -> bool:
    """Return whether this edge of a month has mostly nothing, where other days of the same weekday have something."""
    nones = [not sample.value for sample in _of_edge(samples, day) if usual(samples, sample.day)]
    return 2 * sum(nones) > len(nones)


def _slow_value(samples: Samples, day: datetime.date) -> float:
    """Return the longest time that similar days usually take."""
    similar = _similar(samples, day)
    if similar:
        expected = median(similar)
        values = sorted(sample.value for sample in similar)
        # Runs that were unusual themselves must not hide the next one.
        kept = len(values) - _exceptions_in(similar)
        return max(value for n, value in enumerate(values) if n < kept or value <= _CLOSE_FACTOR * expected)
    return max(most(samples), *(sample.value for sample in samples if _is_same_weekday(sample.day, day)), 0.0)


def _exceptions_in(similar: Samples) -> int:
    """Return how many runs at most count as exceptions."""
    return math.ceil(len(similar) / 8)


def _level(samples: Samples) -> float:
    """Return how much slower than usual all of the last runs were: what stays slow is reported for three days only."""
    if len(samples) < LEAST_SAMPLES + _RECENT:
        return 1.0
    return max(1.0, min(_ratios(samples[:_RECENT], samples[_RECENT:]), default=1.0))


def _edge_level(samples: Samples, day: datetime.date) -> float:
    """Return how much slower than on other days of their weekdays the runs of this edge of a month were."""
    ratios = sorted(_ratios(_of_edge(samples, day), samples))
    return max(1.0, ratios[(len(ratios) - 1) // 2]) if ratios else 1.0


def _ratios(some: Samples, samples: Samples) -> list[float]:
    """Divide the durations of some runs by what is usual on their days."""
    pairs = [(sample.value, usual(samples, sample.day)) for sample in some]
    return [value / expected for value, expected in pairs if expected]


def _similar(samples: Samples, day: datetime.date) -> Samples:
    """Return the samples of the same weekday without first and last days of a month; empty if there are too few."""
    found = [sample for sample in samples if _is_same_weekday(sample.day, day) and not _edge_of(sample.day)]
    # A command that runs every minute has many samples of one day.
    return found if len({sample.day for sample in found}) >= LEAST_SAMPLES else ()


def _of_edge(samples: Samples, day: datetime.date) -> Samples:
    """Return the samples of the same edge of earlier months; empty for a day that is none."""
    edge = _edge_of(day)
    return [sample for sample in samples if _edge_of(sample.day) == edge] if edge else ()


def _is_same_weekday(one: datetime.date, other: datetime.date) -> bool:
    return one.weekday() == other.weekday()


def _edge_of(day: datetime.date) -> str:
    """Return whether a day is the first or the last of its month; empty for other days."""
    if day.day == 1:
        return "first"
    return "last" if (day + datetime.timedelta(days=1)).day == 1 else ""
