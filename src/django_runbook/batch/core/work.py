"""Defines key ranges, their outcome, and the protocol of a source of work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from django_runbook.batch.core.error_kinds import ItemError, RowFailure
from django_runbook.structs import Struct


class KeyRange(Struct):
    """Delimits the items after the cursor ``low`` up to and including ``high``; ``items`` holds them if already read.

    If ``is_alone``, it is the single item at ``high``, whatever ``low`` is. ``next_key`` is the key of that item from
    now on, if it is not ``high``.
    """

    low: str
    high: str
    count: int
    items: Sequence[Any] = ()
    is_alone: bool = False
    next_key: str = ""


class BatchOutcome(Struct):
    """Counts the processed items of a key range, up to ``high``, which lies before the end of the range after a stop.

    ``seen_count`` is the number of items that were visited, done or not; None for the count of the range.
    """

    high: str
    done_count: int
    failures: tuple[RowFailure, ...] = ()
    seen_count: int | None = None


class ShardRange(Struct):
    """Delimits a shard by the cursors after which it starts and up to which it goes; ``total_count`` counts its items.

    ``total_count`` is None if unknown.
    """

    start: str
    upper: str
    total_count: int | None = None


class WorkSource(Protocol):
    """Splits work into key ranges and processes them.

    Only the source can read its cursors, which are strings. The empty cursor comes before all items.
    """

    def last(self) -> str:
        """Return the cursor of the last item; empty if it is unknown or there is none."""

    def count(self, *, after: str, upto: str) -> int | None:
        """Return the number of items, for display; None if unknown."""

    def next_range(self, *, after: str, upto: str, size: int) -> KeyRange | None:
        """Return the next ``size`` items, fewer at the end; None if there are none."""

    def split(self, key_range: KeyRange, error: ItemError | None) -> Sequence[KeyRange]:
        """Split a range around its failed item if that is known, otherwise in halves."""

    def process(self, key_range: KeyRange) -> BatchOutcome:
        """Process the items of a range."""

    def find(self, cursors: Sequence[str]) -> Iterator[KeyRange]:
        """Yield the item at each cursor, alone; nothing for an item that no longer exists."""

    def has_remaining(self, *, after: str, upto: str, without: Sequence[str]) -> bool:
        """Return whether items remain, other than those at the cursors in ``without``."""

    def name(self, key_range: KeyRange) -> str:
        """Describe a range for messages."""

    def shard_bounds(self, count: int) -> list[ShardRange]:
        """Return the ranges of ``count`` shards of about equal size, which together hold each item once."""

    def close(self) -> None:
        """Release open resources; the source is not used afterwards."""


def process_each(
    items: Sequence[Any], process: Callable[[Any], object], *, is_stopping: Callable[[], bool]
) -> tuple[int, Exception | None]:
    """Process items in order until an error or a stop; returns how many were done, and the error of the next one."""
    count = 0
    try:
        for item in items:
            process(item)
            count += 1
            if is_stopping():
                break
    except Exception as error:  # noqa: BLE001 - the caller classifies it
        return count, error
    return count, None
