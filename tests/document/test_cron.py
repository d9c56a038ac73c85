from __future__ import annotations

from datetime import UTC, datetime

import pytest
from cronsim import CronSim
from hypothesis import given
from hypothesis import strategies as st

from django_runbook.document.cron import FIELDS, CronField, parse_cron


@pytest.mark.parametrize(
    ("text", "start", "end", "message", "help_text"),
    [
        ("", 0, 1, "a cron expression has 5 fields, not 0", "the fields are minute, hour, day of month, month, day of week: 15 2 * * *"),
        ("15 2 * *", 0, 8, "a cron expression has 5 fields, not 4", "the fields are minute, hour, day of month, month, day of week: 15 2 * * *"),
        ("0 15 2 * * *", 0, 12, "a cron expression has 5 fields, not 6", "remove the seconds"),
        ("@daily", 0, 6, '"@daily" is not a cron expression of five fields', 'write "0 0 * * *"'),
        ("@reboot", 0, 7, '"@reboot" is not a cron expression of five fields', "write five fields, such as 15 2 * * *"),
        ("60 2 * * *", 0, 2, 'the minute "60" is not valid', "it is a number from 0 to 59, a range 1-5, a list 1,3, a step */2, or *"),
        ("1 2 0 * *", 4, 5, 'the day of month "0" is not valid', "it is a number from 1 to 31, a range 1-5, a list 1,3, a step */2, or *"),
        ("1 2 * MAI *", 6, 9, 'the month "MAI" is not valid', "it is a number from 1 to 12, or a name from JAN to DEC, a range 1-5, a list 1,3, a step */2, or *"),
        ("1 2 * * 8", 8, 9, 'the day of week "8" is not valid', "it is a number from 0 to 7, or a name from SUN to SAT, a range 1-5, a list 1,3, a step */2, or *"),
        ("1  22-2 * * *", 3, 7, 'the hour "22-2" ends before it begins', 'write two parts, such as "22-23,0-2"'),
        ("1 2 * * FRI-MON", 8, 15, 'the day of week "FRI-MON" ends before it begins', 'list the days, such as "FRI,MON"'),
        ("5/15 * * * *", 0, 4, 'the minute "5/15" has a step, but is not a range', 'write "5-59/15": schedulers read a step of one number in different ways'),
        ("*/0 * * * *", 0, 3, 'the minute has the step "0"', "a step is a number from 1 to 59, as in */2"),
        ("*/x * * * *", 0, 3, 'the minute has the step "X"', "a step is a number from 1 to 59, as in */2"),
        ("1 2 L * *", 4, 5, 'the day of month "L" is not valid', 'cron has no last or n-th day: name a range of days, and test the day with "when"'),
        ("1 2 * * 1#2", 8, 11, 'the day of week "1#2" is not valid', 'cron has no last or n-th day: name a range of days, and test the day with "when"'),
        ("1 2 ? * *", 4, 5, 'the day of month "?" is not valid', 'write "*"'),
        ("1,,2 2 * * *", 0, 4, 'the minute "" is not valid', "it is a number from 0 to 59, a range 1-5, a list 1,3, a step */2, or *"),
        ("1 2 30 FEB *", 4, 10, "no month of this schedule has day 30", "correct the day of month or the month"),
    ],
)  # fmt: skip
def test_an_invalid_expression_points_at_its_field(
    text: str, start: int, end: int, message: str, help_text: str
) -> None:
    cron, [problem] = parse_cron(text)
    assert cron is None
    assert (problem.start, problem.end, problem.message, problem.help) == (start, end, message, help_text)


def test_each_invalid_field_is_reported() -> None:
    _, problems = parse_cron("60 24 32 13 8")
    assert [problem.start for problem in problems] == [0, 3, 6, 9, 12]


def test_a_day_that_no_month_has_may_be_a_day_of_the_week_instead() -> None:
    cron, problems = parse_cron("0 0 30 FEB MON")
    assert cron is not None
    assert problems == []


@pytest.mark.parametrize(
    ("text", "needs_both"),
    [("0 4 1 * MON", False), ("0 4 * * MON", True), ("0 4 */2 * MON", True), ("0 4 1 * */2", True)],
)
def test_two_days_are_alternatives_unless_one_begins_with_a_star(text: str, *, needs_both: bool) -> None:
    cron, _ = parse_cron(text)
    assert cron is not None
    assert cron.needs_both_days is needs_both


def terms(place: CronField) -> st.SearchStrategy[str]:
    numbers = st.integers(place.first, place.last)
    words = numbers.map(str)
    if place.names:
        words |= st.sampled_from(place.names) | st.sampled_from(place.names).map(str.lower)
    # cronsim takes 0-0/10 for 0/10.
    pairs = st.tuples(numbers, numbers).filter(lambda pair: pair[0] != pair[1])
    ranges = pairs.map(lambda pair: f"{min(pair)}-{max(pair)}")
    bases = st.just("*") | ranges
    steps = st.tuples(bases, st.integers(1, place.last)).map(lambda pair: f"{pair[0]}/{pair[1]}")
    return st.lists(words | bases | steps, min_size=1, max_size=3).map(",".join)


@given(texts=st.tuples(*(terms(place) for place in FIELDS)))
def test_the_numbers_are_those_of_cronsim(texts: tuple[str, ...]) -> None:
    cron, problems = parse_cron(" ".join(texts))
    if cron is None:
        assert [problem.message[:8] for problem in problems] == ["no month"]
        return
    known = CronSim(" ".join(texts), datetime(2026, 1, 1, tzinfo=UTC))
    assert set(cron.minutes) == known.minutes
    assert set(cron.hours) == known.hours
    assert set(cron.days) == known.days
    assert set(cron.months) == known.months
    assert set(cron.weekdays) == {number % 7 for number in known.weekdays if isinstance(number, int)}
    assert cron.needs_both_days is known.day_and
