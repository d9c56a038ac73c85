"""Defines the values of expressions: plain data, the names of its kinds, and absent values."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping
from typing import Any, Final

from django_runbook.structs import Struct


class OperationError(Exception):
    """Reports that an operation has no value; the message does not name the expression."""


class Missing(Struct, kw_only=False):
    """Represents an absent value; only ``defined``, ``undefined`` and ``default`` accept it.

    ``explain`` computes the reason when it is needed: a list may have thousands of absent values with a default.
    """

    explain: Callable[[], str]

    @property
    def reason(self) -> str:
        return self.explain()


# The order matters: in Python, a datetime is a date.
_KINDS: Final[tuple[tuple[type, str], ...]] = (
    (str, "a string"),
    (int, "a number"),
    (float, "a number"),
    (datetime.datetime, "a date and time"),
    (datetime.date, "a date"),
    (datetime.time, "a time"),
    (datetime.timedelta, "a duration (timedelta)"),
    (datetime.tzinfo, "a time zone (tzinfo)"),
    (Mapping, "a mapping"),
    (list, "a list"),
    (tuple, "a list"),
)


def kind_of(value: object) -> str:
    """Describe a value for a message."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case Missing():
            return "absent"
    return next((name for kind, name in _KINDS if isinstance(value, kind)), f"an object of type {type(value).__name__}")


def is_number(value: object) -> bool:
    """Return whether Python can calculate with the value; a boolean counts as 0 or 1."""
    return isinstance(value, int | float)


# Any: the caller checks the kind of the value.
def present(value: Any) -> Any:
    """Return the value; raise OperationError if it is absent."""
    if isinstance(value, Missing):
        raise OperationError(value.reason)
    return value


def text_of(value: object) -> str:
    """Return a value as part of a string; raise OperationError for null, lists and mappings."""
    match value:
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case datetime.date() | datetime.time():
            return value.isoformat()
        case Missing():
            raise OperationError(value.reason)
    raise OperationError(f"{kind_of(value)} cannot be part of a string")
