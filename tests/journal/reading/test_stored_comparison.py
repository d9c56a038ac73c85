"""Tests that values which somebody edited are read as unreadable, not as errors."""

from __future__ import annotations

import pytest

from django_runbook.journal.reading.stored_comparison import UNREADABLE, StoredForecast, forecast_of, notices_of

FORECAST = {"seconds": 60, "most_seconds": 90.5, "run_count": 9}


def test_a_forecast_is_read() -> None:
    assert forecast_of(FORECAST) == StoredForecast(seconds=60, most_seconds=90.5, run_count=9)


@pytest.mark.parametrize("stored", [None, {}, [], 3, {**FORECAST, "seconds": "soon"}])
def test_a_forecast_that_cannot_be_read_is_none(stored: object) -> None:
    assert forecast_of(stored) is None


@pytest.mark.parametrize(
    ("stored", "notices"),
    [
        (None, []),
        ([{"step_id": "load", "kind": "rows", "text": "did 0 rows"}], [("load", "did 0 rows")]),
        (["load", {}], [("unusual", UNREADABLE)] * 2),
        (3, [("unusual", UNREADABLE)]),
    ],
)
def test_notices_are_read_one_by_one(stored: object, notices: list[tuple[str, str]]) -> None:
    assert notices_of(stored) == notices
