"""Converts strings of a command line and values of a file into typed parameter values."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Mapping
from typing import Final

from django_runbook.document.evaluation.values import kind_of
from django_runbook.document.runbook import Param
from django_runbook.document.similar_names import suggestion

_BOOLEANS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_MAX_SHOWN: Final = 100
_INTEGER = re.compile(r"[-+]?\d{1,40}")


class ParamError(ValueError):
    """Reports that a value does not fit its parameter; the message does not name the parameter."""


def _parse_integer(text: str) -> int:
    if _INTEGER.fullmatch(text.strip()) is None:
        raise ParamError(f"{_shown(text)} is not an integer")
    return int(text)


def _parse_number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ParamError(f"{_shown(text)} is not a number") from None
    if not math.isfinite(number):
        raise ParamError(f"{_shown(text)} is not a finite number")
    return number


def _parse_boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.strip().lower()]
    except KeyError:
        raise ParamError(f"{_shown(text)} is neither true nor false") from None


def _parse_date(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise ParamError(f"{_shown(text)} is not a date such as 2013-01-31") from None


def _parse_datetime(text: str) -> datetime.datetime:
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ParamError(f"{_shown(text)} is not a date and time such as 2013-01-31T06:00:00+00:00") from None


def _parse_list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",")) if text.strip() else ()


_PARSERS: Final[Mapping[str, Callable[[str], object]]] = {
    "string": str,
    "integer": _parse_integer,
    "number": _parse_number,
    "boolean": _parse_boolean,
    "date": _parse_date,
    "datetime": _parse_datetime,
    "list": _parse_list,
}
_NATIVE: Final[Mapping[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "date": (datetime.date,),
    "datetime": (datetime.datetime,),
    "list": (tuple, list),
}


def parse_text(param: Param, text: str) -> object:
    """Convert the value of ``--param name=value``; a list is split at commas. Raise ParamError.

    An empty value means null for a parameter whose default is null, except for strings and lists, which are empty then.
    """
    can_be_empty = param.type in {"string", "list"} and not param.choices
    if not text and param.is_nullable and not can_be_empty:
        return None
    if param.type == "list":
        parse = _PARSERS[_item_type(param)]
        return _check_choice(param, tuple(parse(item) for item in _parse_list(text)))
    return _check_choice(param, _PARSERS[param.type](text))


def _item_type(param: Param) -> str:
    """Return the type of the items of a list: that of the items of its default, if they share one."""
    items = param.default.value if param.default is not None and not param.choices else ()
    types = {type_of(item.value) for item in items} if isinstance(items, tuple) else set()
    kind = types.pop() if len(types) == 1 else "string"
    return "string" if kind == "list" else kind


def convert(param: Param, value: object) -> object:
    """Convert a native value of the file to the type of the parameter; raise ParamError."""
    if param.type in {"date", "datetime"} and isinstance(value, str):
        return _check_choice(param, _PARSERS[param.type](value))
    is_boolean, is_time = isinstance(value, bool), isinstance(value, datetime.datetime)
    # In Python, a boolean is an integer and a datetime is a date.
    is_of_type = isinstance(value, _NATIVE[param.type]) and is_boolean == (param.type == "boolean")
    if isinstance(value, float) and not math.isfinite(value):
        is_of_type = False
    if is_of_type and is_time == (param.type == "datetime"):
        return _check_choice(param, tuple(value) if isinstance(value, list) else value)
    raise ParamError(f"{_shown(value)} is not of type {param.type}")


def type_of(value: object) -> str:
    """Return the type of a parameter that is declared by its default alone."""
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, tuple | list):
        return "list"
    return {int: "integer", float: "number"}.get(type(value), "string")


def _check_choice(param: Param, value: object) -> object:
    chosen = value if isinstance(value, tuple) else (value,)
    for item in chosen:
        if param.choices and item not in param.choices:
            names = [str(choice) for choice in param.choices]
            near = suggestion(item, names) if isinstance(item, str) else ""
            raise ParamError(f"{_shown(item)} is not one of {', '.join(names)}" + (f"; {near}" if near else ""))
    return value


def _shown(value: object) -> str:
    """Shorten a value for a message."""
    if isinstance(value, str | bool | int | float | datetime.date):
        text = str(value)
        return f'"{text}"' if len(text) <= _MAX_SHOWN else f'"{text[:_MAX_SHOWN]}…"'
    return kind_of(value)
