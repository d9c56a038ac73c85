"""Limits one evaluation: the items that it touches, the characters that it makes, and the size of its numbers."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Final

from django_runbook.document.evaluation.values import Missing, OperationError, kind_of
from django_runbook.document.views import StepView

MAX_ITEMS: Final = 2_000_000
# The limit of a captured output.
MAX_CHARACTERS: Final = 16 * 1024 * 1024
# A strictly configured Python refuses to convert a number of more than 640 digits to a string.
MAX_BITS: Final = 2048
# A captured output may be 100 levels deep, and an expression puts at most 20 brackets around it.
MAX_DEPTH: Final = 120
# C code processes about this many characters in the time of one operation in Python.
_CHARACTERS_PER_ITEM: Final = 64
_SCALARS: Final = frozenset((type(None), bool, float))
_LISTS: Final = frozenset((list, tuple))
# A StepView stays one: it reports an output that was not captured.
_MAPPINGS: Final = frozenset((dict, StepView))


class Budget:
    """Counts the operations of one evaluation; ``items_left`` is the remaining budget."""

    __slots__ = ("items_left",)

    def __init__(self, items: int = MAX_ITEMS) -> None:
        self.items_left = items

    def spend(self, *, items: int = 0, characters: int = 0) -> None:
        """Spend the cost of an operation before it is done; raise OperationError if it exceeds the budget."""
        if characters > MAX_CHARACTERS:
            raise OperationError(f"a string of more than {MAX_CHARACTERS} characters is too long for an expression")
        self.items_left -= items + characters // _CHARACTERS_PER_ITEM
        if self.items_left < 0:
            raise OperationError(f"it takes more than {MAX_ITEMS} operations; move this work to a command")

    def spend_product(self, one: int, other: int) -> None:
        """Spend the cost of comparing ``one`` characters with ``other`` characters each."""
        self.spend(items=one * other // _CHARACTERS_PER_ITEM)

    def walk(self, value: object) -> None:
        """Check a value before C code reads it; raise OperationError if it is too big or a part of it is absent."""
        self.settle(value)

    def settle(self, value: object, *, depth: int = 0) -> object:
        """Return the value as plain data of a bounded size, without absent or lazy parts.

        A plain value is returned unchanged.
        """
        kind = type(value)
        if kind is str:
            self.spend(characters=len(value))  # type: ignore[arg-type]  # checked above
            return value
        if kind is int:
            return check_number(value)
        if kind in _SCALARS:
            return value
        if isinstance(value, list | tuple):
            return self._settle_items(value, depth)
        if isinstance(value, Mapping):
            return self._settle_mapping(value, depth)
        return self._settle_other(value)

    def _settle_items(self, value: list[object] | tuple[object, ...], depth: int) -> object:
        self._enter(len(value), depth)
        items = [self.settle(item, depth=depth + 1) for item in value]
        if type(value) in _LISTS and all(one is other for one, other in zip(items, value, strict=True)):
            return value
        return tuple(items) if isinstance(value, tuple) else items

    def _settle_mapping(self, value: Mapping[object, object], depth: int) -> object:
        self._enter(len(value), depth)
        items = [(key, self.settle(key, depth=depth + 1), self.settle(value[key], depth=depth + 1)) for key in value]
        if type(value) in _MAPPINGS and all(key is new and value[key] is item for key, new, item in items):
            return value
        return {new: item for _, new, item in items}

    def _enter(self, length: int, depth: int) -> None:
        if depth >= MAX_DEPTH:
            raise OperationError(f"lists and mappings are nested more than {MAX_DEPTH} levels deep")
        self.spend(items=1 + length)

    def _settle_other(self, value: object) -> object:
        """Convert a subclass of a scalar, such as a lazy string, to the scalar."""
        match value:
            case Missing():
                raise OperationError(value.reason)
            case datetime.date() | datetime.time() | datetime.timedelta():
                return value
            case str():
                return self.settle(str.__str__(value))
            case int():
                return check_number(int.__int__(value))
            case float():
                return float.__float__(value)
        raise OperationError(f"{kind_of(value)} is not plain data")


def check_number(value: object) -> object:
    """Return the number; raise OperationError if it has too many digits."""
    if isinstance(value, int) and value.bit_length() > MAX_BITS:
        raise OperationError(f"the number has more than {MAX_BITS} bits")
    return value
