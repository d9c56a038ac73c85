from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

import pytest

from django_runbook import clock

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("2027-03-28T01:30:00+01:00", "2027-03-28T04:30:00+02:00"),
        ("2027-10-31T01:30:00+02:00", "2027-10-31T02:30:00+01:00"),
        ("2027-07-01T01:30:00+02:00", "2027-07-01T03:30:00+02:00"),
    ],
)
def test_two_hours_are_two_hours_also_when_the_clocks_change(begin: str, end: str) -> None:
    later = clock.later(datetime.datetime.fromisoformat(begin).astimezone(BERLIN), 7200)
    assert (later.isoformat(), later.tzinfo) == (end, BERLIN)
