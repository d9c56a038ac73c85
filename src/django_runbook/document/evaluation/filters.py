"""Defines bounded filters with the names and the meaning of those of Jinja2."""

from __future__ import annotations

import datetime
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

from django_runbook.document.evaluation import members, ordering
from django_runbook.document.evaluation.budget import Budget, check_number
from django_runbook.document.evaluation.operators import calculate, is_true
from django_runbook.document.evaluation.tests import TESTS
from django_runbook.document.evaluation.values import Missing, OperationError, is_number, kind_of, present, text_of

# Any: an expression may pass any value to a filter, and each filter checks it.
Filter: TypeAlias = Callable[..., object]
Names: TypeAlias = str | int | None
# Python takes a minute to convert a million digits, and can be configured to refuse more than 640.
_MAX_DIGITS: Final = 600
_MAX_PRECISION: Final = 300
_WORD: Final = re.compile(r"[^-\s({\[<]+")


def apply(budget: Budget, name: str, value: object, arguments: Sequence[object], named: Mapping[str, object]) -> object:
    """Apply the filter of this name to a value."""
    budget.spend(items=1)
    if name not in _TAKE_ABSENT:
        for one in (value, *arguments, *named.values()):
            present(one)
    return FILTERS[name](budget, value, *arguments, **named)


def _items_of(budget: Budget, value: object) -> Sequence[object]:
    match value:
        case list() | tuple():
            budget.spend(items=len(value))
            return value
        case str():
            budget.spend(items=len(value))
            return list(value)
        case Mapping():
            budget.spend(items=len(value))
            return list(value)
    raise OperationError(f"{kind_of(value)} has no items")


def _text(budget: Budget, value: object) -> str:
    text = text_of(value)
    budget.spend(characters=len(text))
    return text


def _abs(budget: Budget, value: object) -> object:
    if is_number(value) or isinstance(value, datetime.timedelta):
        number: Any = value
        return abs(number)
    raise OperationError(f"{kind_of(value)} has no absolute value")


def _capitalize(budget: Budget, value: object) -> str:
    return _text(budget, value).capitalize()


def _length(budget: Budget, value: object) -> int:
    if isinstance(value, str | list | tuple | Mapping):
        return len(value)
    raise OperationError(f"{kind_of(value)} has no length")


def _default(budget: Budget, value: object, default_value: object = "", boolean: object = False) -> object:  # noqa: FBT002 - as in Jinja2
    return default_value if isinstance(value, Missing) or (boolean and not value) else value


def _dictsort(
    budget: Budget,
    value: object,
    case_sensitive: object = False,  # noqa: FBT002 - as in Jinja2
    by: str = "key",
    reverse: object = False,  # noqa: FBT002 - as in Jinja2
) -> list[object]:
    if not isinstance(value, Mapping):
        raise OperationError(f"only mappings have entries, not {kind_of(value)}")
    if by not in {"key", "value"}:
        raise OperationError('"dictsort" sorts by "key" or "value"')
    budget.spend(items=len(value))
    pairs = list(value.items())
    keys = [pair[by == "value"] for pair in pairs]
    return ordering.in_order(budget, pairs, keys, is_reversed=bool(reverse), is_exact=bool(case_sensitive))


def _first(budget: Budget, value: object) -> object:
    if isinstance(value, Mapping):
        return next(iter(value), Missing(lambda: "it is empty"))
    _length(budget, value)
    items: Any = value
    return items[0] if items else Missing(lambda: "it is empty")


def _last(budget: Budget, value: object) -> object:
    if isinstance(value, Mapping):
        return next(reversed(_items_of(budget, value)), Missing(lambda: "it is empty"))
    _length(budget, value)
    items: Any = value
    return items[-1] if items else Missing(lambda: "it is empty")


def _float(budget: Budget, value: object, default: object = 0.0) -> object:
    number: Any = _digits(value)
    try:
        return float(number)
    except (TypeError, ValueError):
        return default
    except OverflowError:
        raise OperationError("the number is too large") from None


def _int(budget: Budget, value: object, default: object = 0, base: int = 10) -> object:
    number: Any = _digits(value)
    try:
        return check_number(int(number, base) if isinstance(number, str) else int(number))
    except (TypeError, ValueError):
        # As in Jinja2: "42.23" gives 42.
        try:
            return check_number(int(float(number)))
        except (TypeError, ValueError, OverflowError):
            return default
    except OverflowError:
        raise OperationError("the number is too large") from None


def _digits(value: object) -> object:
    if isinstance(value, str) and len(value) > _MAX_DIGITS:
        raise OperationError(f"a number has at most {_MAX_DIGITS} characters, and this string has {len(value)}")
    return value


def _pairs(budget: Budget, value: object) -> object:
    if not isinstance(value, Mapping):
        raise OperationError(f"only mappings have entries, not {kind_of(value)}")
    budget.spend(items=len(value))
    return list(value.items())


def _join(budget: Budget, value: object, d: object = "", attribute: Names = None) -> str:
    texts = [text_of(members.path(budget, one, attribute)) for one in _items_of(budget, value)]
    separator = text_of(d)
    budget.spend(characters=sum(map(len, texts)) + len(separator) * len(texts))
    return separator.join(texts)


def _list(budget: Budget, value: object) -> list[object]:
    return list(_items_of(budget, value))


def _lower(budget: Budget, value: object) -> str:
    return _text(budget, value).lower()


def _upper(budget: Budget, value: object) -> str:
    return _text(budget, value).upper()


def _map(budget: Budget, value: object, *arguments: Any, **named: Any) -> list[object]:
    if not arguments:
        return map_attribute(budget, value, **named)
    name, *rest = arguments
    return [apply(budget, _known(name, FILTERS, "filter"), one, rest, named) for one in _items_of(budget, value)]


def map_attribute(budget: Budget, value: object, *, attribute: Names, default: object = None) -> list[object]:
    """Apply ``map(attribute=…)`` to a list: return a value of each item, or the default."""
    found = []
    for one in _items_of(budget, value):
        result = members.path(budget, one, attribute)
        found.append(default if isinstance(result, Missing) and default is not None else result)
    return found


def _max(budget: Budget, value: object, case_sensitive: object = False, attribute: Names = None) -> object:  # noqa: FBT002 - as in Jinja2
    return _extreme(budget, value, max, is_exact=bool(case_sensitive), attribute=attribute)


def _min(budget: Budget, value: object, case_sensitive: object = False, attribute: Names = None) -> object:  # noqa: FBT002 - as in Jinja2
    return _extreme(budget, value, min, is_exact=bool(case_sensitive), attribute=attribute)


def _extreme(
    budget: Budget, value: object, function: Callable[..., Any], *, is_exact: bool, attribute: Names
) -> object:
    items = _items_of(budget, value)
    keys = [members.path(budget, one, attribute) for one in items]
    index = ordering.extreme(budget, keys, function, is_exact=is_exact)
    return Missing(lambda: "it is empty") if index is None else items[index]


def _select(budget: Budget, value: object, *arguments: Any, **named: Any) -> list[object]:
    return [one for one in _items_of(budget, value) if _holds(budget, one, arguments, named)]


def _reject(budget: Budget, value: object, *arguments: Any, **named: Any) -> list[object]:
    return [one for one in _items_of(budget, value) if not _holds(budget, one, arguments, named)]


def _selectattr(budget: Budget, value: object, attribute: Names, /, *arguments: Any, **named: Any) -> list[object]:
    items = _items_of(budget, value)
    return [one for one in items if _holds(budget, members.path(budget, one, attribute), arguments, named)]


def _rejectattr(budget: Budget, value: object, attribute: Names, /, *arguments: Any, **named: Any) -> list[object]:
    items = _items_of(budget, value)
    return [one for one in items if not _holds(budget, members.path(budget, one, attribute), arguments, named)]


def _holds(budget: Budget, value: object, arguments: Sequence[Any], named: Mapping[str, Any]) -> bool:
    if not arguments:
        return is_true(value)
    name, *rest = arguments
    return TESTS[_known(name, TESTS, "test")](budget, value, *rest, **named)


def _known(name: object, table: Mapping[str, object], kind: str) -> str:
    if isinstance(name, str) and name in table:
        return name
    raise OperationError(f"unknown {kind}")


def _replace(budget: Budget, value: object, old: object, new: object, count: int | None = None) -> str:
    text, before, after = _text(budget, value), text_of(old), text_of(new)
    found = text.count(before)
    times = found if count is None or count < 0 else min(found, count)
    budget.spend(characters=len(text) + times * max(len(after) - len(before), 0))
    return text.replace(before, after, times)


def _reverse(budget: Budget, value: object) -> object:
    if isinstance(value, str):
        budget.spend(characters=len(value))
        return value[::-1]
    return list(_items_of(budget, value))[::-1]


def _round(budget: Budget, value: object, precision: int = 0, method: str = "common") -> object:
    if not is_number(value):
        raise OperationError(f"only numbers are rounded, not {kind_of(value)}")
    if not isinstance(precision, int) or abs(precision) > _MAX_PRECISION:
        raise OperationError(f"a number is rounded to -{_MAX_PRECISION} to {_MAX_PRECISION} digits")
    number: Any = value
    if method == "common":
        return check_number(round(number, precision))
    if method not in {"ceil", "floor"}:
        raise OperationError('a number is rounded by "common", "ceil" or "floor"')
    function = math.ceil if method == "ceil" else math.floor
    factor: Any = 10**precision
    return function(number * factor) / factor


def _sort(
    budget: Budget,
    value: object,
    reverse: object = False,  # noqa: FBT002 - as in Jinja2
    case_sensitive: object = False,  # noqa: FBT002 - as in Jinja2
    attribute: Names = None,
) -> list[object]:
    items = _items_of(budget, value)
    paths = attribute.split(",") if isinstance(attribute, str) else [attribute]
    keys: list[object] = [
        members.path(budget, one, paths[0]) if len(paths) == 1 else [members.path(budget, one, path) for path in paths]
        for one in items
    ]
    return ordering.in_order(budget, items, keys, is_reversed=bool(reverse), is_exact=bool(case_sensitive))


def _string(budget: Budget, value: object) -> str:
    # These have no string form; an explicit conversion returns JSON.
    is_shapeless = value is None or isinstance(value, list | tuple | Mapping)
    return _tojson(budget, value) if is_shapeless else _text(budget, value)


def _sum(budget: Budget, value: object, attribute: Names = None, start: object = 0) -> object:
    total = start
    for one in _items_of(budget, value):
        item = members.path(budget, one, attribute)
        if isinstance(total, list) and isinstance(item, list | tuple):
            budget.spend(items=len(item))
            # A new list for each item would take quadratic time.
            total = total if total is not start else list(total)
            total.extend(item)
        else:
            total = calculate(budget, "+", total, item)
    return total


def _title(budget: Budget, value: object) -> str:
    text = _text(budget, value)
    budget.spend(items=len(text) // 8)
    return _WORD.sub(lambda match: match[0][0].upper() + match[0][1:].lower(), text)


def _trim(budget: Budget, value: object, chars: str | None = None) -> str:
    text = _text(budget, value)
    budget.spend_product(len(text), len(chars or " "))
    return text.strip(chars)


def _tojson(budget: Budget, value: object) -> str:
    budget.walk(value)
    text = json.dumps(value, default=_json_form, ensure_ascii=False, allow_nan=False)
    budget.spend(characters=len(text))
    return text


def _json_form(value: object) -> object:
    match value:
        case datetime.date() | datetime.time():
            return value.isoformat()
        case Mapping():
            return dict(value)
    raise OperationError(f"{kind_of(value)} has no JSON form")


def _unique(budget: Budget, value: object, case_sensitive: object = False, attribute: Names = None) -> list[object]:  # noqa: FBT002 - as in Jinja2
    items = _items_of(budget, value)
    keys = [members.path(budget, one, attribute) for one in items]
    return ordering.distinct(budget, items, keys, is_exact=bool(case_sensitive))


# The filters that accept an absent value.
_TAKE_ABSENT: Final = frozenset(("default", "d"))
FILTERS: Final[Mapping[str, Filter]] = {
    "abs": _abs,
    "capitalize": _capitalize,
    "count": _length,
    "d": _default,
    "default": _default,
    "dictsort": _dictsort,
    "first": _first,
    "float": _float,
    "int": _int,
    "items": _pairs,
    "join": _join,
    "last": _last,
    "length": _length,
    "list": _list,
    "lower": _lower,
    "map": _map,
    "max": _max,
    "min": _min,
    "reject": _reject,
    "rejectattr": _rejectattr,
    "replace": _replace,
    "reverse": _reverse,
    "round": _round,
    "select": _select,
    "selectattr": _selectattr,
    "sort": _sort,
    "string": _string,
    "sum": _sum,
    "title": _title,
    "tojson": _tojson,
    "trim": _trim,
    "unique": _unique,
    "upper": _upper,
}
