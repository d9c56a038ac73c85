"""Looks up the members of a value: keys of a mapping, items of a list, and allowed attributes of its type."""

from __future__ import annotations

import datetime
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from django_runbook.document.evaluation.budget import Budget
from django_runbook.document.evaluation.values import Missing, OperationError, kind_of, present
from django_runbook.document.similar_names import suggestion
from django_runbook.document.views import StepView

# Any: an expression may pass any value to a method, and Python checks it.
Method: TypeAlias = Callable[..., object]
_MAX_FORMAT: Final = 200
_MAX_PATH: Final = 1000
_MAX_SHOWN: Final = 60
_MAX_KEYS: Final = 100


def attribute(obj: object, name: str) -> object:
    """Return ``obj.name``: the value of a key, or of an allowed attribute."""
    present(obj)
    if isinstance(obj, Mapping):
        return obj[name] if name in obj else _missing(obj, name)
    if name in _names(obj, ATTRIBUTES):
        return getattr(obj, name)
    if name in _names(obj, METHODS):
        return Missing(lambda: f'"{name}" is a method: write {name}()')
    return _missing(obj, name)


def item(budget: Budget, obj: object, key: object) -> object:
    """Return ``obj[key]``."""
    present(obj)
    if isinstance(obj, Mapping):
        budget.walk(key)
        return obj[key] if key in obj else _missing(obj, key)
    present(key)
    if isinstance(key, str):
        return attribute(obj, key)
    if isinstance(obj, list | tuple | str) and isinstance(key, int):
        return obj[key] if -len(obj) <= key < len(obj) else _missing(obj, key)
    if isinstance(obj, list | tuple | str):
        raise OperationError(f"an index must be an integer, not {kind_of(key)}")
    return _missing(obj, key)


def part(budget: Budget, obj: object, bounds: Sequence[object]) -> object:
    """Return ``obj[start:stop:step]``."""
    if not isinstance(present(obj), list | tuple | str):
        raise OperationError(f"only strings and lists have slices, not {kind_of(obj)}")
    for bound in bounds:
        if bound is not None and not isinstance(present(bound), int):
            raise OperationError(f"the bounds of a slice must be integers, not {kind_of(bound)}")
    sized: Any = obj
    found: Any = sized[slice(*bounds)]
    budget.spend(**{"characters" if isinstance(obj, str) else "items": len(found)})
    return found


def path(budget: Budget, obj: object, names: str | int | None) -> object:
    """Follow a path of names and numbers such as ``address.city``; None means the object itself."""
    if names is None:
        return obj
    if isinstance(names, str) and len(names) > _MAX_PATH:
        raise OperationError(f"the path of an attribute has more than {_MAX_PATH} characters")
    for name in names.split(".") if isinstance(names, str) else (names,):
        budget.spend(items=1)
        is_place = isinstance(name, str) and name.isdecimal() and len(name) <= 9
        obj = item(budget, obj, int(name) if is_place else name)
    return obj


def call(budget: Budget, obj: object, name: str, arguments: Sequence[object], named: Mapping[str, object]) -> object:
    """Call an allowed method of the object."""
    present(obj)
    tables = (methods for kind, methods in METHODS.items() if isinstance(obj, kind))
    method = next((methods[name] for methods in tables if name in methods), None)
    if method is None:
        raise OperationError(f'{kind_of(obj)} has no method "{name}"')
    for value in (*arguments, *named.values()):
        if not isinstance(value, datetime.tzinfo):
            budget.walk(value)
    return method(budget, obj, *arguments, **named)


def _names(obj: object, table: Mapping[type, Iterable[str]]) -> set[str]:
    return {name for kind, names in table.items() if isinstance(obj, kind) for name in names}


def _missing(obj: object, name: object) -> Missing:
    return Missing(lambda: _explain(obj, name))


def _explain(obj: object, name: object) -> str:
    shown = str(name)[:_MAX_SHOWN] if isinstance(name, str | int) else kind_of(name)
    if isinstance(obj, StepView):
        return f'step "{obj["id"]}" is {obj["status"]} and has no {shown}'
    if isinstance(obj, Mapping):
        keys = [key for key in itertools.islice(obj, _MAX_KEYS) if isinstance(key, str) and len(key) <= _MAX_SHOWN]
        near = suggestion(shown, keys)
        return f'the key "{shown}" is missing' + (f"; {near}" if near else "")
    if isinstance(obj, list | tuple | str) and isinstance(name, int):
        return f"index {shown} is out of range: the length is {len(obj)}"
    return f'{kind_of(obj)} has no "{shown}"'


def _of_text(name: str) -> Method:
    """Make a bounded version of a method of ``str`` that scans the string once."""
    function = getattr(str, name)

    def method(budget: Budget, text: str, *arguments: object, **named: object) -> object:
        budget.spend(characters=len(text))
        found = function(text, *arguments, **named)
        if isinstance(found, str):
            budget.spend(characters=len(found))
        return found

    return method


def _of_ends(name: str) -> Method:
    """Make a bounded version of a method of ``str`` that searches its argument for each character."""
    function = getattr(str, name)

    def method(budget: Budget, text: str, characters: str | None = None) -> object:
        budget.spend_product(len(text), len(characters or " "))
        return function(text, characters)

    return method


def _of_date(name: str) -> Method:
    def method(budget: Budget, date: object, *arguments: object, **named: object) -> object:
        return getattr(date, name)(*arguments, **named)

    return method


def split(budget: Budget, text: str, sep: str | None = None, maxsplit: int = -1) -> list[str]:
    """Split a string from its start."""
    budget.spend(characters=len(text))
    return _bounded_split(budget, text.split, sep, maxsplit)


def _rsplit(budget: Budget, text: str, sep: str | None = None, maxsplit: int = -1) -> list[str]:
    # Python's search from the end compares the whole separator at each place.
    budget.spend_product(len(text), len(sep or " "))
    return _bounded_split(budget, text.rsplit, sep, maxsplit)


def _bounded_split(
    budget: Budget, function: Callable[[str | None, int], list[str]], sep: str | None, maxsplit: int
) -> list[str]:
    """Make at most as many parts as the budget allows, and spend their cost afterwards."""
    is_bounded = 0 <= maxsplit <= budget.items_left
    parts = function(sep, maxsplit if is_bounded else budget.items_left)
    budget.spend(items=len(parts))
    return parts


def _splitlines(budget: Budget, text: str, keepends: bool = False) -> list[str]:  # noqa: FBT001, FBT002 - as in Python
    line_ends = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
    budget.spend(items=sum(map(text.count, line_ends)) + 1, characters=len(text))
    return text.splitlines(keepends)


def _strftime(budget: Budget, date: datetime.date | datetime.time, format: str) -> str:  # noqa: A002 - as in Python
    if len(format) > _MAX_FORMAT:
        raise OperationError(f"the format of a date has more than {_MAX_FORMAT} characters")
    return date.strftime(format)


def _isocalendar(budget: Budget, date: datetime.date) -> tuple[int, ...]:
    return tuple(date.isocalendar())


def _get(budget: Budget, mapping: Mapping[object, object], key: object, default: object = None) -> object:
    return mapping.get(key, default)


def _items(budget: Budget, mapping: Mapping[object, object]) -> list[object]:
    budget.spend(items=len(mapping))
    return list(mapping.items())


def _keys(budget: Budget, mapping: Mapping[object, object]) -> list[object]:
    budget.spend(items=len(mapping))
    return list(mapping)


def _values(budget: Budget, mapping: Mapping[object, object]) -> list[object]:
    budget.spend(items=len(mapping))
    return list(mapping.values())


def _count(budget: Budget, items: Sequence[object], value: object) -> int:
    budget.walk(items)
    return items.count(value)


def _index(budget: Budget, items: Sequence[object], value: object) -> int:
    budget.walk(items)
    return items.index(value)


_TEXT: Final = (
    "capitalize count endswith find isalnum isalpha isdigit islower isupper lower removeprefix removesuffix "
    "startswith title upper"
)
_LIST: Final[Mapping[str, Method]] = {"count": _count, "index": _index}
METHODS: Final[Mapping[type, Mapping[str, Method]]] = {
    str: {
        **{name: _of_text(name) for name in _TEXT.split()},
        **{name: _of_ends(name) for name in ("lstrip", "rstrip", "strip")},
        "rsplit": _rsplit,
        "split": split,
        "splitlines": _splitlines,
    },
    datetime.datetime: {name: _of_date(name) for name in ("date", "time", "timestamp")},
    datetime.date: {
        **{name: _of_date(name) for name in ("isoformat", "isoweekday", "replace", "weekday")},
        "isocalendar": _isocalendar,
        "strftime": _strftime,
    },
    datetime.time: {"isoformat": _of_date("isoformat"), "strftime": _strftime},
    datetime.timedelta: {"total_seconds": _of_date("total_seconds")},
    list: _LIST,
    tuple: _LIST,
    Mapping: {"get": _get, "items": _items, "keys": _keys, "values": _values},
}
ATTRIBUTES: Final[Mapping[type, tuple[str, ...]]] = {
    datetime.datetime: ("hour", "minute", "second", "tzinfo"),
    datetime.date: ("day", "month", "year"),
    datetime.time: ("hour", "minute", "second"),
    datetime.timedelta: ("days", "seconds"),
}
