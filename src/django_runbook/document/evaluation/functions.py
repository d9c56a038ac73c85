"""Defines the date functions of expressions: durations, months, and the first and last day of a month."""

from __future__ import annotations

import calendar
import datetime
from collections.abc import Callable, Mapping
from typing import Final

from django_runbook.document.evaluation.values import OperationError, kind_of, present


def days(n: object) -> datetime.timedelta:
    """Return a duration of n days."""
    return _duration("days", n)


def weeks(n: object) -> datetime.timedelta:
    """Return a duration of n weeks."""
    return _duration("weeks", n)


def hours(n: object) -> datetime.timedelta:
    """Return a duration of n hours."""
    return _duration("hours", n)


def minutes(n: object) -> datetime.timedelta:
    """Return a duration of n minutes."""
    return _duration("minutes", n)


def add_months(date: object, n: object) -> datetime.date:
    """Return the same day n months later, or the last day of a shorter month."""
    start = _date("add_months", date)
    present(n)
    if not isinstance(n, int) or isinstance(n, bool):
        raise OperationError(f'"add_months" takes an integer number of months, not {kind_of(n)}')
    year, month = divmod(start.year * 12 + start.month - 1 + n, 12)
    if not datetime.MINYEAR <= year <= datetime.MAXYEAR:
        raise OperationError("the date is out of range: years go from 1 to 9999")
    last = calendar.monthrange(year, month + 1)[1]
    return start.replace(year=year, month=month + 1, day=min(start.day, last))


def month_start(date: object) -> datetime.date:
    """Return the first day of the month."""
    within = _date("month_start", date)
    return datetime.date(within.year, within.month, 1)


def month_end(date: object) -> datetime.date:
    """Return the last day of the month."""
    within = _date("month_end", date)
    return datetime.date(within.year, within.month, calendar.monthrange(within.year, within.month)[1])


def _duration(unit: str, n: object) -> datetime.timedelta:
    present(n)
    if not isinstance(n, int | float) or isinstance(n, bool):
        raise OperationError(f'"{unit}" takes a number, not {kind_of(n)}')
    try:
        return datetime.timedelta(**{unit: n})
    except OverflowError:
        raise OperationError("the duration is too long: it has at most 999999999 days") from None
    except ValueError:
        raise OperationError(f'"{unit}" takes a number, not {n}') from None


def _date(name: str, value: object) -> datetime.date:
    present(value)
    if isinstance(value, datetime.date):
        return value
    raise OperationError(f'"{name}" takes a date, not {kind_of(value)}')


FUNCTIONS: Final[Mapping[str, Callable[..., object]]] = {
    function.__name__: function for function in (days, weeks, hours, minutes, add_months, month_start, month_end)
}
