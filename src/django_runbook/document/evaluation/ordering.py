"""Sorts and compares values in chunks, so that signals are handled in between."""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from django_runbook.document.evaluation.budget import Budget
from django_runbook.document.evaluation.values import OperationError, kind_of

# Sorting this many items at once takes less than 0.1 s; longer lists are merged in Python.
_SORTED_AT_ONCE: Final = 50_000
_EXACT: Final = 2**53


def in_order(
    budget: Budget, items: Sequence[Any], keys: list[object], *, is_reversed: bool, is_exact: bool
) -> list[Any]:
    """Sort items by their keys; strings that differ in case are equal unless ``is_exact``."""
    keys = _comparable(budget, keys, is_exact=is_exact)
    budget.spend(items=len(keys) * len(keys).bit_length() // 8)
    try:
        return [items[index] for index in _sorted(keys, is_reversed=is_reversed)]
    except TypeError:
        raise _unordered(keys) from None


def extreme(budget: Budget, keys: list[object], function: Callable[..., Any], *, is_exact: bool) -> int | None:
    """Return the index of the smallest or the largest key, for ``min`` or ``max``; None if there are no keys."""
    keys = _comparable(budget, keys, is_exact=is_exact)
    try:
        index: int | None = function(range(len(keys)), key=keys.__getitem__, default=None)
    except TypeError:
        raise _unordered(keys) from None
    return index


def distinct(budget: Budget, items: Sequence[Any], keys: list[object], *, is_exact: bool) -> list[Any]:
    """Return the first item of each key."""
    keys = _comparable(budget, keys, is_exact=is_exact)
    seen = set()
    found = []
    for item, key in zip(items, map(_hashed, keys), strict=True):
        if key not in seen:
            seen.add(key)
            found.append(item)
    return found


def _sorted(keys: list[Any], *, is_reversed: bool) -> Iterator[int]:
    pieces: list[Iterable[int]] = [
        sorted(range(start, min(start + _SORTED_AT_ONCE, len(keys))), key=keys.__getitem__, reverse=is_reversed)
        for start in range(0, len(keys), _SORTED_AT_ONCE)
    ]
    return heapq.merge(*pieces, key=keys.__getitem__, reverse=is_reversed)


def _comparable(budget: Budget, keys: list[object], *, is_exact: bool) -> list[object]:
    """Return the values by which items are compared, in lower case unless ``is_exact``."""
    budget.walk(keys)
    return keys if is_exact else [_without_case(key) for key in keys]


def _without_case(key: object) -> object:
    if isinstance(key, list):
        return [_without_case(one) for one in key]
    return key.lower() if isinstance(key, str) else key


def _unordered(keys: Sequence[object]) -> OperationError:
    kinds = list(itertools.islice(dict.fromkeys(kind_of(key) for key in keys), 3))
    return OperationError(f"{' and '.join(kinds)} have no order")


def _hashed(key: object) -> object:
    """Return a stand-in for a key in a set: chosen numbers can all have one hash, strings cannot."""
    match key:
        case list() | tuple():
            return ("list", *map(_hashed, key))
        case Mapping():
            return ("mapping", frozenset((name, _hashed(one)) for name, one in key.items()))
        case int() | float() if not -_EXACT < key < _EXACT and math.isfinite(key):
            return ("number", hex(int(key)))
    return key
