"""Applies operators to arbitrary values, and refuses operations that exceed the budget."""

from __future__ import annotations

import datetime
import operator
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from django_runbook.document.evaluation.budget import MAX_BITS, Budget, check_number
from django_runbook.document.evaluation.values import OperationError, is_number, kind_of, present, text_of

_CONTAINERS: Final = (list, tuple, Mapping, str)
_DATES: Final = (datetime.date, datetime.timedelta)
_OUT_OF_RANGE: Final = "the date is out of range: years go from 1 to 9999"
# Any: these functions check which types fit each other.
_Operation = Callable[[Any, Any], Any]
_ORDERS: Final[Mapping[str, tuple[str, _Operation]]] = {
    "eq": ("==", operator.eq),
    "ne": ("!=", operator.ne),
    "lt": ("<", operator.lt),
    "lteq": ("<=", operator.le),
    "gt": (">", operator.gt),
    "gteq": (">=", operator.ge),
}


def compare(budget: Budget, name: str, left: object, right: object) -> bool:
    """Compare two values: ``name`` is one of eq, ne, lt, lteq, gt, gteq, in and notin."""
    if name in {"in", "notin"}:
        return contains(budget, right, left) is (name == "in")
    _walk(budget, left, right)
    sign, function = _ORDERS[name]
    try:
        return bool(function(left, right))
    except TypeError:
        raise _unfit(sign, left, right) from None


def contains(budget: Budget, container: object, item: object) -> bool:
    """Return whether a string, a list or a mapping contains the item."""
    present(container)
    _walk(budget, item)
    match item, container:
        case str() as part, str() as text:
            budget.spend(characters=len(text))
            return part in text
        case _, list() | tuple():
            budget.walk(container)
            return item in container
        case _, Mapping():
            return item in container
    raise _unfit("in", item, container)


def _walk(budget: Budget, *values: object) -> None:
    for value in values:
        if isinstance(present(value), _CONTAINERS):
            budget.walk(value)


def concatenate(budget: Budget, values: Sequence[object]) -> str:
    """Join values as strings."""
    texts = [text_of(value) for value in values]
    budget.spend(items=len(texts), characters=sum(map(len, texts)))
    return "".join(texts)


def calculate(budget: Budget, sign: str, left: object, right: object) -> object:
    """Apply ``+``, ``-``, ``*``, ``/``, ``//``, ``%`` or ``**``."""
    present(left)
    present(right)
    try:
        if is_number(left) and is_number(right):
            return _number(sign, left, right)
        if isinstance(left, _DATES) or isinstance(right, _DATES):
            return _date(sign, left, right)
        if sign == "+":
            return _add(budget, left, right)
        if sign == "*":
            return _repeat(budget, left, right)
    except ZeroDivisionError:
        raise OperationError("division by zero") from None
    except OverflowError as error:
        is_date = isinstance(left, datetime.date) or isinstance(right, datetime.date)
        raise OperationError(_OUT_OF_RANGE if is_date else "the number is too large") from error
    raise _unfit(sign, left, right)


def negate(value: object, sign: str) -> object:
    """Apply the sign before a number or a duration."""
    if is_number(present(value)) or isinstance(value, datetime.timedelta):
        number: Any = value
        return -number if sign == "-" else +number
    raise OperationError(f'{kind_of(value)} has no "{sign}"')


def is_true(value: object) -> bool:
    """Return whether a value counts as true: not null, not 0 and not empty."""
    return bool(present(value))


_NUMBERS: Final[Mapping[str, _Operation]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "//": operator.floordiv,
    "%": operator.mod,
    "**": operator.pow,
}


def _number(sign: str, left: Any, right: Any) -> object:
    if isinstance(left, int) and isinstance(right, int):
        bits = left.bit_length() * max(right, 1) if sign == "**" else left.bit_length() + right.bit_length()
        if sign in {"*", "**"} and bits > MAX_BITS:
            raise OperationError(f"the number has more than {MAX_BITS} bits")
    result = _NUMBERS[sign](left, right)
    if isinstance(result, complex):
        raise OperationError("a root of a negative number has no value")
    return check_number(result)


def _date(sign: str, left: Any, right: Any) -> object:
    match sign, left, right:
        case "+", datetime.date(), datetime.timedelta():
            return _moved(left, right)
        case "+", datetime.timedelta(), datetime.date():
            return _moved(right, left)
        case "-", datetime.date(), datetime.timedelta():
            return _moved(left, -right)
        case "-", datetime.datetime(), datetime.datetime():
            return _elapsed(left, right)
        case "-", datetime.date(), datetime.date() if not isinstance(left, datetime.datetime) and not isinstance(
            right, datetime.datetime
        ):
            return left - right
    if not isinstance(left, datetime.date) and not isinstance(right, datetime.date):
        return _duration(sign, left, right)
    raise _unfit(sign, left, right)


def _moved(date: datetime.date, by: datetime.timedelta) -> datetime.date:
    """Move a date. Whole days keep the time of day when the clocks change; other durations are elapsed time."""
    is_whole = by.seconds == 0 and by.microseconds == 0
    if not isinstance(date, datetime.datetime):
        if not is_whole:
            raise OperationError('a date has no time of day: move it by whole days, or use "now"')
        return date + by
    if is_whole or date.tzinfo is None:
        return date + by
    return (date.astimezone(datetime.UTC) + by).astimezone(date.tzinfo)


def _elapsed(left: datetime.datetime, right: datetime.datetime) -> datetime.timedelta:
    if (left.tzinfo is None) is not (right.tzinfo is None):
        raise _unfit("-", left, right)
    if left.tzinfo is None:
        return left - right
    return left.astimezone(datetime.UTC) - right.astimezone(datetime.UTC)


def _duration(sign: str, left: Any, right: Any) -> object:
    is_both = isinstance(left, datetime.timedelta) and isinstance(right, datetime.timedelta)
    is_scaled = isinstance(left, datetime.timedelta) and is_number(right) and sign in {"*", "/", "//"}
    is_factor = is_number(left) and sign == "*"
    if is_scaled or is_factor or (is_both and sign not in {"*", "**"}):
        try:
            return _NUMBERS[sign](left, right)
        except (TypeError, ValueError):
            pass
    raise _unfit(sign, left, right)


def _add(budget: Budget, left: object, right: object) -> object:
    if isinstance(left, str) and isinstance(right, str):
        budget.spend(characters=len(left) + len(right))
        return left + right
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        budget.spend(items=len(left) + len(right))
        return [*left, *right]
    raise _unfit("+", left, right)


def _repeat(budget: Budget, left: object, right: object) -> object:
    sized, times = (right, left) if isinstance(left, int) else (left, right)
    if not isinstance(times, int):
        raise _unfit("*", left, right)
    count = max(times, 0)
    if isinstance(sized, str):
        budget.spend(characters=len(sized) * count)
        return sized * count
    if isinstance(sized, list | tuple):
        budget.spend(items=len(sized) * count)
        return sized * count
    raise _unfit("*", left, right)


def _unfit(sign: str, left: object, right: object) -> OperationError:
    one, other = kind_of(left), kind_of(right)
    if sign == "%" and isinstance(left, str):
        return OperationError('join strings with "~": formatting with "%" is not supported')
    if isinstance(left, datetime.datetime) and isinstance(right, datetime.datetime):
        zones = ("without a time zone" if value.tzinfo is None else "in a time zone" for value in (left, right))
        one, other = (f"{one} {zone}" for zone in zones)
    hint = ""
    if sign in {"+", "-"} and isinstance(left, datetime.date) and is_number(right):
        hint = ": write days(n) to move it"
    return OperationError(f'"{sign}" cannot be applied to {one} and {other}{hint}')
