from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from django_runbook.document.runbook import Schedule
from django_runbook.schedules.times import due_times, next_due, previous_due
from tests.schedules.support import schedule

ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC", "Asia/Kolkata")
CRONS = (
    "30 2 * * *",
    "15,45 1-3 * * *",
    "*/20 * * * *",
    "5 */2 * * *",
    "0 4 1 * MON",
    "0-0/10 5 */2,3 * 5-7",
    "0 0 29 2 *",
)
MINUTES = st.integers(0, 6 * 366 * 24 * 60)
MOMENTS = MINUTES.map(lambda minutes: datetime(2024, 1, 1, tzinfo=UTC) + timedelta(minutes=minutes))
SCHEDULES = st.builds(schedule, st.sampled_from(CRONS), st.sampled_from(ZONES))


def berlin(*parts: int, fold: int = 0) -> datetime:
    return datetime(*parts, tzinfo=ZoneInfo("Europe/Berlin"), fold=fold)  # type: ignore[misc,arg-type]  # a list of numbers


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        # Skipped in spring: due at the end of the gap, once.
        ("30 2 * * *", berlin(2027, 3, 27, 12), ["2027-03-28T03:00:00+02:00", "2027-03-29T02:30:00+02:00"]),
        ("15,45 2 * * *", berlin(2027, 3, 28, 0), ["2027-03-28T03:00:00+02:00", "2027-03-29T02:15:00+02:00"]),
        # Repeated in autumn: due the first time.
        ("30 2 * * *", berlin(2027, 10, 31, 0), ["2027-10-31T02:30:00+02:00", "2027-11-01T02:30:00+01:00"]),
        ("30 2 * * *", berlin(2027, 10, 31, 2, 15, fold=1), ["2027-11-01T02:30:00+01:00", "2027-11-02T02:30:00+01:00"]),
        # A star counts real time.
        ("*/30 * * * *", berlin(2027, 3, 28, 1, 15), ["2027-03-28T01:30:00+01:00", "2027-03-28T03:00:00+02:00"]),
        ("*/30 * * * *", berlin(2027, 10, 31, 2, 30), ["2027-10-31T02:00:00+01:00", "2027-10-31T02:30:00+01:00"]),
    ],
)  # fmt: skip
def test_a_change_of_clocks_is_passed_as_cron_does(cron: str, after: datetime, expected: list[str]) -> None:
    found = islice(due_times(schedule(cron, "Europe/Berlin"), after=after), 2)
    assert [due.isoformat() for due in found] == expected


@given(schedule=SCHEDULES, moment=MOMENTS)
def test_times_are_later_than_the_start_and_rise(schedule: Schedule, moment: datetime) -> None:
    found = [due.astimezone(UTC) for due in islice(due_times(schedule, after=moment), 5)]
    assert found == sorted(set(found))
    assert found[0] > moment


@given(schedule=SCHEDULES, moment=MOMENTS)
def test_the_previous_time_is_the_last_one_before(schedule: Schedule, moment: datetime) -> None:
    previous = previous_due(schedule, before=moment)
    assert previous is not None
    assert previous.astimezone(UTC) < moment
    following = next_due(schedule, after=previous)
    assert following is not None
    assert following.astimezone(UTC) >= moment


@given(schedule=SCHEDULES, moment=MOMENTS)
def test_a_time_is_the_next_one_from_anywhere_since_the_previous_one(schedule: Schedule, moment: datetime) -> None:
    first = next_due(schedule, after=moment)
    assert first is not None
    # In local time, a second before the end of a gap is a time that does not exist.
    at = first.astimezone(UTC)
    assert next_due(schedule, after=at - timedelta(seconds=1)) == first
    assert previous_due(schedule, before=at + timedelta(seconds=1)) == first


def test_a_schedule_without_a_zone_is_in_that_of_the_project(settings: Any) -> None:
    settings.TIME_ZONE = "America/New_York"
    due = next_due(schedule("0 4 * * *"), after=datetime(2027, 1, 1, tzinfo=UTC))
    assert due is not None
    assert due.isoformat() == "2027-01-01T04:00:00-05:00"


def test_the_calendar_ends() -> None:
    assert next_due(schedule("0 4 1 1 *", "UTC"), after=datetime(9999, 6, 1, tzinfo=UTC)) is None


def test_a_rare_day_is_found_in_both_directions() -> None:
    rare = schedule("0 0 29 2 */7", "UTC")
    moment = datetime(2027, 1, 1, tzinfo=UTC)
    assert next_due(rare, after=moment) == datetime(2032, 2, 29, tzinfo=UTC)
    assert previous_due(rare, before=moment) == datetime(2004, 2, 29, tzinfo=UTC)
