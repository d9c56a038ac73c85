"""Finds the times that a change of clocks skips or repeats, and the rule by which its date is known."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Final

from django_runbook.schedules.day_rules import DayRule
from django_runbook.structs import Struct

# A time zone has a permanent rule from 2038 on; 28 years hold each date on each day of the week.
_YEARS: Final = range(2038, 2066)
_DAY: Final = datetime.timedelta(days=1)
_MINUTE: Final = datetime.timedelta(minutes=1)


class ClockChange(Struct):
    """Describes a yearly change that skips or repeats local times, from ``start`` to before ``end``, in minutes.

    ``days`` is None if the dates follow no rule.
    """

    is_gap: bool
    start: int
    end: int
    days: DayRule | None


@cache
def changes_of(zone: datetime.tzinfo) -> tuple[ClockChange, ...]:
    """Return the changes of a time zone, by its permanent rule."""
    found = list(_transitions(zone))
    return tuple(
        _rule(is_gap, [one for one in found if one[0] is is_gap])
        for is_gap in (True, False)
        if any(one[0] is is_gap for one in found)
    )


def offset_minutes(zone: datetime.tzinfo) -> set[int]:
    """Return the offsets from UTC that the time zone has in a year."""
    months = (datetime.datetime(_YEARS.start, month, 15, tzinfo=datetime.UTC) for month in range(1, 13))
    return {_offset(month, zone) // _MINUTE for month in months}


_Transition = tuple[bool, datetime.datetime, datetime.datetime]


def _transitions(zone: datetime.tzinfo) -> Iterator[_Transition]:
    """Yield each change: whether it skips times, and the first and the last of them."""
    moment = datetime.datetime(_YEARS.start, 1, 1, tzinfo=datetime.UTC)
    end = datetime.datetime(_YEARS.stop, 1, 1, tzinfo=datetime.UTC)
    before = _offset(moment, zone)
    while moment < end:
        after = _offset(moment + _DAY, zone)
        if after != before:
            change = _moment_of_change(moment, zone).replace(tzinfo=None)
            yield after > before, change + min(before, after), change + max(before, after)
        moment, before = moment + _DAY, after


def _moment_of_change(day: datetime.datetime, zone: datetime.tzinfo) -> datetime.datetime:
    low, high, before = 0, _DAY // _MINUTE, _offset(day, zone)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(day + middle * _MINUTE, zone) == before:
            low = middle
        else:
            high = middle
    return day + high * _MINUTE


def _offset(moment: datetime.datetime, zone: datetime.tzinfo) -> datetime.timedelta:
    return moment.astimezone(zone).utcoffset() or datetime.timedelta()


def _rule(is_gap: bool, found: Sequence[_Transition]) -> ClockChange:  # noqa: FBT001 - it is the kind that was found
    starts = [start.hour * 60 + start.minute for _, start, _ in found]
    lengths = [(end - start) // _MINUTE for _, start, end in found]
    dates = [start.date() for _, start, _ in found]
    days = None
    is_yearly = [date.year for date in dates] == list(_YEARS)
    if is_yearly and len({*starts}) == len({*lengths}) == len({(date.month, date.weekday()) for date in dates}) == 1:
        window = range(min(date.day for date in dates), max(date.day for date in dates) + 1)
        # A date that does not move has no day of the week.
        if len(window) <= 7:
            days = DayRule(months=(dates[0].month,), weekdays=((dates[0].weekday() + 1) % 7,), days=tuple(window))
    return ClockChange(
        is_gap=is_gap,
        start=min(starts),
        end=max(start + length for start, length in zip(starts, lengths, strict=True)),
        days=days,
    )
