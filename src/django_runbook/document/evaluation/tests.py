"""Defines bounded tests with the names and the meaning of those of Jinja2."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from django_runbook.document.evaluation.budget import Budget
from django_runbook.document.evaluation.operators import calculate, compare, contains
from django_runbook.document.evaluation.values import Missing, OperationError, is_number, kind_of, present

Test: TypeAlias = Callable[..., bool]


def _defined(budget: Budget, value: object) -> bool:
    return not isinstance(value, Missing)


def _undefined(budget: Budget, value: object) -> bool:
    return isinstance(value, Missing)


def _rest(budget: Budget, value: object, num: object) -> object:
    # In Python, "%" formats a string, to any length.
    for number in (value, num):
        if not is_number(present(number)):
            raise OperationError(f"only numbers are divisible, not {kind_of(number)}")
    return calculate(budget, "%", value, num)


def _divisible_by(budget: Budget, value: object, num: object) -> bool:
    return _rest(budget, value, num) == 0


def _even(budget: Budget, value: object) -> bool:
    return _rest(budget, value, 2) == 0


def _odd(budget: Budget, value: object) -> bool:
    return _rest(budget, value, 2) == 1


def _lower(budget: Budget, value: object) -> bool:
    return isinstance(present(value), str) and str(value).islower()


def _upper(budget: Budget, value: object) -> bool:
    return isinstance(present(value), str) and str(value).isupper()


def _same_as(budget: Budget, value: object, other: object) -> bool:
    return present(value) is present(other)


def _in(budget: Budget, value: object, seq: object) -> bool:
    return contains(budget, seq, value)


def _is_of(*kinds: type) -> Test:
    def test(budget: Budget, value: object) -> bool:
        return isinstance(present(value), kinds) and (bool in kinds or not isinstance(value, bool))

    return test


def _is(constant: object) -> Test:
    def test(budget: Budget, value: object) -> bool:
        return present(value) is constant

    return test


def _comparison(operator: str) -> Test:
    def test(budget: Budget, value: object, other: object) -> bool:
        return compare(budget, operator, value, other)

    return test


_EQ, _NE, _LT, _LE, _GT, _GE = map(_comparison, ("eq", "ne", "lt", "lteq", "gt", "gteq"))
TESTS: Final[Mapping[str, Test]] = {
    "boolean": _is_of(bool),
    "defined": _defined,
    "divisibleby": _divisible_by,
    "eq": _EQ,
    "equalto": _EQ,
    "==": _EQ,
    "even": _even,
    "false": _is(False),  # noqa: FBT003 - the value itself
    "float": _is_of(float),
    "ge": _GE,
    ">=": _GE,
    "greaterthan": _GT,
    "gt": _GT,
    ">": _GT,
    "in": _in,
    "integer": _is_of(int),
    "iterable": _is_of(str, list, tuple, Mapping),
    "le": _LE,
    "<=": _LE,
    "lessthan": _LT,
    "lower": _lower,
    "lt": _LT,
    "<": _LT,
    "mapping": _is_of(Mapping),
    "ne": _NE,
    "!=": _NE,
    "none": _is(None),
    "number": _is_of(bool, int, float),
    "odd": _odd,
    "sameas": _same_as,
    "sequence": _is_of(str, list, tuple, Mapping),
    "string": _is_of(str),
    "true": _is(True),  # noqa: FBT003 - the value itself
    "undefined": _undefined,
    "upper": _upper,
}
