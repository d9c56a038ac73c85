"""Puts the tests that take longest at the beginning of the share of each process, so that none of them is left at the end."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeVar

T = TypeVar("T")

# Modules with tests that take ten seconds or more on a quiet machine, most of them waiting.
LONG: Final = {
    "tests.example.test_compose",
    "tests.example.test_demo_workers",
    "tests.interruptions.test_interruptions",
    "tests.journal.test_killing",
    "tests.queues.test_breaking",
    "tests.queues.test_killing",
}


def long_first(tests: Sequence[T], long: Sequence[T], *, process_count: int) -> list[T]:
    """Return the tests in the order in which xdist divides them, each share beginning with some of the long ones."""
    others = [test for test in tests if test not in long]
    ordered: list[T] = []
    for number in range(process_count):
        size = (len(tests) - len(ordered)) // (process_count - number)
        first = long[number::process_count]
        rest = max(0, size - len(first))
        ordered += [*first, *others[:rest]]
        del others[:rest]
    return ordered
