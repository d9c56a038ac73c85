"""Tests the rules by value: which durations are slow, and where nothing is unusual.

``RUNBOOK_YEARS`` asks for more simulated years.
"""

from __future__ import annotations

import datetime
import os
import random
from typing import Final

import pytest

from django_runbook.forecasts import samples
from django_runbook.forecasts.samples import Sample, Samples
from tests.forecasts.nights import simulate

# A Wednesday.
TODAY = datetime.date(2026, 7, 15)
LAST = datetime.date(2026, 7, 31)
YEARS: Final = int(os.environ.get("RUNBOOK_YEARS", "5"))


def nightly(*values: float, until: datetime.date = TODAY) -> Samples:
    """Return samples of the nights before a day; the first value is that of the night before it."""
    return Samples(Sample(until - datetime.timedelta(days=n), value) for n, value in enumerate(values, start=1))


def test_fewer_than_five_samples_say_nothing() -> None:
    assert samples.slow_limit(nightly(60, 60, 60, 60), TODAY) is None
    assert samples.slow_limit(nightly(60, 60, 60, 60, 60), TODAY) == 120
    assert not samples.is_unusually_none(nightly(9, 9, 9, 9), TODAY, least_usual=1)
    assert samples.is_unusually_none(nightly(9, 9, 9, 9, 9), TODAY, least_usual=1)


def test_a_short_step_must_exceed_its_time_by_seconds() -> None:
    assert samples.slow_limit(nightly(*[0.1] * 10), TODAY) == pytest.approx(10.1)


@pytest.mark.parametrize(("count", "place"), [(1, 0), (5, 4), (19, 18), (20, 18), (100, 94)])
def test_the_95th_percentile_is_a_measured_value(count: int, place: int) -> None:
    values = list(range(count))
    random.Random(1).shuffle(values)
    assert nightly(*values).most() == place


def test_a_weekday_is_compared_with_itself_once_there_are_five() -> None:
    def weeks(count: int) -> Samples:
        return nightly(*[400 if day % 7 in {3, 4} else 100 for day in range(1, 7 * count + 1)])

    # Wednesday, 15 July: days 3 and 4 before are Sunday and Saturday.
    assert samples.slow_limit(weeks(4), TODAY) == 800
    assert samples.slow_limit(weeks(8), TODAY) == 200
    assert weeks(8).usual(TODAY) == 100
    assert weeks(8).usual(TODAY - datetime.timedelta(days=3)) == 400


def test_one_slow_night_does_not_hide_the_next() -> None:
    weeks = [100.0] * 100
    weeks[6] = 900
    assert samples.slow_limit(nightly(*weeks), TODAY) == 200


def test_one_huge_duration_among_few_does_not_hide_the_next() -> None:
    assert samples.slow_limit(nightly(100, 100, 5000, 100, 100, 100), TODAY) == 200
    one_day = Samples(Sample(TODAY, value) for value in (100, 5000, 100, 100, 100, 100))
    assert samples.slow_limit(one_day, TODAY) == 200
    assert samples.slow_limit(nightly(100, 100, 5000, 100, 5000, 100), TODAY) == 10_000


def test_a_trend_raises_older_durations_by_a_quarter_at_most() -> None:
    assert samples.slow_limit(nightly(*[110] * 10, *[100] * 60), TODAY) == pytest.approx(2 * 100 * 1.1)
    risen = nightly(*[110] * 10, *[100] * 24, 120, *[100] * 35)
    assert samples.slow_limit(risen, TODAY) == pytest.approx(2 * 120 * 1.1)
    jumped = nightly(100, *[300] * 9, *[100] * 60)
    assert samples.slow_limit(jumped, TODAY) == pytest.approx(2 * 100 * 1.25)


def test_durations_of_zero_have_no_level() -> None:
    assert samples.slow_limit(nightly(*[0] * 60), TODAY) == 10


def test_what_stays_slow_is_reported_for_three_nights() -> None:
    limits = [samples.slow_limit(nightly(*[300] * nights, *[100] * 60), TODAY) for nights in range(5)]
    assert limits == [200, 200, 200, 600, 600]


def test_the_last_day_of_a_month_is_compared_with_earlier_ones() -> None:
    months = nightly(*[100] * 60, until=LAST)
    months = Samples(Sample(day, 300 if day == datetime.date(2026, 6, 30) else value) for day, value in months.all)
    assert samples.slow_limit(months, LAST) == 600
    assert samples.slow_limit(months, LAST - datetime.timedelta(days=1)) == 200


@pytest.mark.parametrize("edge", [LAST, LAST + datetime.timedelta(days=1)])
def test_the_first_month_end_of_a_step_tells_nothing(edge: datetime.date) -> None:
    month = nightly(*[100] * 20, until=edge)
    before = Samples(one for one in month.all if one.day < LAST)
    assert samples.slow_limit(before, edge) is None
    assert samples.slow_limit(before, edge + datetime.timedelta(days=2)) == 200


@pytest.mark.parametrize(
    ("values", "is_unusual"),
    [
        pytest.param([27_000] * 10, True, id="never"),
        pytest.param([27_000] * 9 + [0], False, id="seen once in few"),
        pytest.param([27_000] * 29 + [0], True, id="seen once in many"),
        pytest.param([3] * 30, False, id="few rows"),
        pytest.param([0] * 30, False, id="always"),
        pytest.param([0 if n % 7 in {3, 4} else 900 for n in range(1, 71)], True, id="weekends only"),
        pytest.param([0 if n % 7 == 0 else 900 for n in range(1, 71)], False, id="this weekday"),
    ],
)
def test_nothing_is_unusual_where_there_was_always_something(values: list[int], *, is_unusual: bool) -> None:
    found = samples.is_unusually_none(nightly(*values), TODAY, least_usual=samples.LEAST_USUAL_COUNT)
    assert found is is_unusual


def test_many_runs_of_one_day_are_no_five_weekdays() -> None:
    minutes = [Sample(TODAY, 100.0)] * 60 + [Sample(TODAY - datetime.timedelta(days=1), 400.0)] * 60
    assert samples.slow_limit(Samples(minutes), TODAY) == 800


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(YEARS))
def test_a_year_has_at_most_one_false_night_a_month_and_every_planted_one_is_found(seed: int) -> None:
    year = simulate(seed)
    assert year.missed == set()
    nights = [(day.year, day.month) for day in sorted({found.day for found in year.false})]
    assert len(nights) == len(set(nights))
    assert len(year.planted) >= 18
    assert {found.kind for found in year.planted} == {"slow", "rows", "output", "skipped"}
