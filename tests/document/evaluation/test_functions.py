"""Moves dates by the calendar and by elapsed time."""

from __future__ import annotations

import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.document.evaluation.support import reason_of, value_of

BERLIN = ZoneInfo("Europe/Berlin")
TODAY = datetime.date(2024, 3, 31)
# The day on which the clocks went forward at 02:00, which became 03:00.
NOW = datetime.datetime(2024, 3, 31, 12, 0, tzinfo=BERLIN)


def text_of(source: str, now: datetime.datetime = NOW) -> str:
    value = value_of(source, today=TODAY, now=now)
    assert isinstance(value, datetime.date)
    return value.isoformat()


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("today - days(1)", "2024-03-30"),
        ("today + weeks(2)", "2024-04-14"),
        ("days(1) + today", "2024-04-01"),
        ("today - days(1) * 3", "2024-03-28"),
        ("today + (days(1) + weeks(1))", "2024-04-08"),
        ("today + hours(48)", "2024-04-02"),
        ("add_months(today, 1)", "2024-04-30"),
        ("add_months(today, -1)", "2024-02-29"),
        ("add_months(today, -13)", "2023-02-28"),
        ("add_months(today, 0)", "2024-03-31"),
        ("add_months(now, 1)", "2024-04-30T12:00:00+02:00"),
        ("month_start(today)", "2024-03-01"),
        ("month_end(add_months(today, -1))", "2024-02-29"),
        ("month_start(now)", "2024-03-01"),
        ("month_end(now)", "2024-03-31"),
    ],
)
def test_dates_move_by_the_calendar(source: str, text: str) -> None:
    assert text_of(source) == text


def test_whole_days_keep_the_time_of_day_across_a_change_of_the_clocks() -> None:
    assert text_of("now - days(1)") == "2024-03-30T12:00:00+01:00"
    assert text_of("now - weeks(1)") == "2024-03-24T12:00:00+01:00"


def test_hours_pass_whatever_the_clocks_do() -> None:
    early = NOW.replace(hour=3, minute=30)
    assert text_of("now - hours(1)", early) == "2024-03-31T01:30:00+01:00"
    assert text_of("now - minutes(90)", early) == "2024-03-31T01:00:00+01:00"
    assert text_of("now - hours(13)") == "2024-03-30T22:00:00+01:00"


def test_a_difference_is_elapsed_time() -> None:
    assert value_of("(now - (now - days(1))).total_seconds()", now=NOW) == 23 * 3600
    assert value_of("(today - month_start(today)).days", today=TODAY) == 30
    assert value_of("now - hours(2) < now", now=NOW) is True


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("today + days(9999999)", "years go from 1 to 9999"),
        ("today - days(900000)", "years go from 1 to 9999"),
        ("add_months(today, 99999)", "years go from 1 to 9999"),
        ("add_months(today, -10 ** 300)", "years go from 1 to 9999"),
        ("now + days(9999999)", "years go from 1 to 9999"),
        ("now - hours(99999999)", "years go from 1 to 9999"),
        ("days(10 ** 400)", "at most 999999999 days"),
        ("weeks(1e300)", "at most 999999999 days"),
        ("days(1e308 * 10)", "at most 999999999 days"),
        ("days(1e308 * 10 - 1e308 * 10)", '"days" takes a number, not nan'),
        ("days('1')", '"days" takes a number, not a string'),
        ("days(true)", '"days" takes a number, not true'),
        ("days(none)", '"days" takes a number, not null'),
        ("days(x)", '"x" is not defined'),
        ("add_months(today, 1.5)", '"add_months" takes an integer number of months'),
        ("add_months('2024-01-01', 1)", '"add_months" takes a date, not a string'),
        ("month_end(3)", '"month_end" takes a date, not a number'),
        ("today - hours(5)", "a date has no time of day"),
        ("today - 1", '"-" cannot be applied to a date and a number'),
        ("today + today", '"+" cannot be applied to a date and a date'),
        ("now - today", '"-" cannot be applied to a date and time and a date'),
        ("now < today", '"<" cannot be applied to a date and time and a date'),
        ("now - naive", "a date and time in a time zone and a date and time without a time zone"),
        ("days(1) * days(1)", '"*" cannot be applied to a duration (timedelta) and a duration (timedelta)'),
        ("days(999999999) + days(1)", "the number is too large"),
    ],
)
def test_impossible_dates_are_errors(source: str, reason: str) -> None:
    assert reason in reason_of(source, today=TODAY, now=NOW, naive=NOW.replace(tzinfo=None))


@given(day=st.dates(), months=st.integers(-200_000, 200_000))
def test_the_same_day_of_another_month(day: datetime.date, months: int) -> None:
    try:
        moved = value_of("add_months(day, months)", day=day, months=months)
    except Exception as error:  # noqa: BLE001 - only the reason is checked
        assert "years go from 1 to 9999" in str(error)  # noqa: PT017 - either outcome is right, if it is this one
        return
    assert isinstance(moved, datetime.date)
    assert (moved.year - day.year) * 12 + moved.month - day.month == months
    assert moved.day == day.day or moved == value_of("month_end(moved)", moved=moved)
