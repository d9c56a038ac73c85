"""Marks single cases of a parametrized test as slow."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pytest

T = TypeVar("T")


def slow_if(is_slow: Callable[[T], bool], cases: Iterable[T]) -> list[Any]:
    """Return the cases for ``parametrize``, and mark those as slow for which this is true; a tuple is several values."""
    return [
        pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=[pytest.mark.slow] if is_slow(case) else [])
        for case in cases
    ]
