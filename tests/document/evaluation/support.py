"""Evaluates sources in tests, and recognizes plain data."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from django_runbook.document.evaluation.budget import MAX_BITS, MAX_CHARACTERS, MAX_DEPTH, Budget
from django_runbook.document.evaluation.evaluator import evaluate
from django_runbook.document.evaluation.values import OperationError

SCALARS = (type(None), bool, float, datetime.date, datetime.datetime, datetime.time, datetime.timedelta)


def value_of(source: str, **names: object) -> object:
    """Return the value of an expression."""
    return evaluate(source, names)


def value_within(budget: Budget, source: str, **names: object) -> object:
    """Return the value of an expression within a budget."""
    return evaluate(source, names, budget=budget)


def reason_of(source: str, **names: object) -> str:
    """Return why an expression has no value."""
    try:
        value = evaluate(source, names)
    except OperationError as error:
        return str(error)
    raise AssertionError(f"{source} gave {value!r}")


def is_plain(value: object, depth: int = 0) -> bool:
    """Return whether a value is complete, of plain types only, and of a bounded size."""
    if depth > MAX_DEPTH:
        return False
    if isinstance(value, str):
        return type(value) is str and len(value) <= MAX_CHARACTERS
    if isinstance(value, int) and not isinstance(value, bool):
        return type(value) is int and value.bit_length() <= MAX_BITS
    if isinstance(value, list | tuple):
        return all(is_plain(one, depth + 1) for one in value)
    if isinstance(value, Mapping):
        return isinstance(value, dict) and all(
            is_plain(name, depth + 1) and is_plain(one, depth + 1) for name, one in value.items()
        )
    return isinstance(value, SCALARS)
