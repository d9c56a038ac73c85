"""Texts from a command line, and values from a file, to the typed values of a runbook's parameters."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Mapping
from typing import Final

from django_runbook.document.diagnostics import nearest
from django_runbook.document.runbook import Param

_BOOLEANS: Final = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_INTEGER = re.compile(r"[-+]?\d{1,40}")


class ParamError(ValueError):
    """A value does not fit its parameter; the message says why, without the parameter's name."""


def _parse_integer(text: str) -> int:
    if _INTEGER.fullmatch(text.strip()) is None:
        raise ParamError(f'"{text}" is not an integer')
    return int(text)


def _parse_number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ParamError(f'"{text}" is not a number') from None
    if not math.isfinite(number):
        raise ParamError(f'"{text}" is not a finite number')
    return number


def _parse_boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.strip().lower()]
    except KeyError:
        raise ParamError(f'"{text}" is neither true nor false') from None


def _parse_date(text: str) -> datetime.date:
    try:
        return datetime.date.fromisoformat(text)
    except ValueError:
        raise ParamError(f'"{text}" is not a date, as in 2013-01-31') from None


def _parse_datetime(text: str) -> datetime.datetime:
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ParamError(f'"{text}" is not a date and time, as in 2013-01-31T06:00:00+00:00') from None


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
    """The value of ``--param name=text``; a list is split at commas. Raises ParamError."""
    return _check_choice(param, _PARSERS[param.type](text))


def convert(param: Param, value: object) -> object:
    """A native value of the file as the parameter's type; raises ParamError."""
    if param.type in {"date", "datetime"} and isinstance(value, str):
        return parse_text(param, value)
    is_boolean, is_time = isinstance(value, bool), isinstance(value, datetime.datetime)
    # To Python a boolean is a number, and a time of a day a date.
    is_of_type = isinstance(value, _NATIVE[param.type]) and is_boolean == (param.type == "boolean")
    if is_of_type and is_time == (param.type == "datetime"):
        return _check_choice(param, tuple(value) if isinstance(value, list) else value)
    raise ParamError(f'"{value}" is not of type {param.type}')


def type_of(value: object) -> str:
    """The parameter type that a bare default value gives."""
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
            near = nearest(str(item), names)
            hint = f'; "{near}" is near' if near else ""
            raise ParamError(f'"{item}" is not one of {", ".join(names)}{hint}')
    return value
