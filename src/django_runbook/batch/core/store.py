"""Defines positions in the work, the identity of the work, and the protocol of a store that keeps positions."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from django_runbook.batch.core.error_kinds import RowFailure
from django_runbook.batch.core.work import ShardRange
from django_runbook.structs import Struct, replace

# Gives the range of each shard.
Bounds = Callable[[], Sequence[ShardRange]]


class Position(Struct):
    """Counts completed work, and marks its place by cursors.

    The work lies after ``start`` (empty for the beginning) up to ``upper`` (empty if unknown).
    """

    start: str = ""
    cursor: str = ""
    upper: str = ""
    batch_count: int = 0
    done_count: int = 0
    failed_count: int = 0

    def moved(self, cursor: str, *, done_count: int, failed_count: int = 0) -> Position:
        """Return the position after one more batch."""
        return replace(
            self,
            cursor=cursor,
            batch_count=self.batch_count + 1,
            done_count=self.done_count + done_count,
            failed_count=self.failed_count + failed_count,
        )


class Identity(Struct):
    """Identifies a piece of work.

    ``scope`` is a digest of everything that gives a cursor its meaning, except the shard. ``call_key`` is the runner's
    name for the call, ``run_key`` the name from the command line. Work that finished under a key is not repeated under
    it. Any call may continue unfinished work, but only under the same ``run_key``.
    """

    command: str
    description: str
    scope: str
    shard: str = ""
    call_key: str = ""
    run_key: str = ""

    @property
    def key_digest(self) -> str:
        """Return the digest by which run keys are compared; empty without a run key."""
        return digest(self.run_key) if self.run_key else ""


class OtherShards(Struct):
    """Counts the work of the other shards; ``total_count`` includes this shard, and is None if unknown."""

    done_count: int = 0
    failed_count: int = 0
    total_count: int | None = None


class TakeoverStopped(Exception):
    """Reports a stop that was requested while the work waited to be taken over."""


class PositionStore(Protocol):
    """Keeps the position of the work.

    If ``is_together``, the position moves in the transaction of the rows. Otherwise it moves in a transaction of its
    own after that one, in the database ``alias``, which is empty if nothing is kept.
    """

    alias: str
    is_together: bool

    def begin(self, *, bounds: Bounds, restart: bool) -> Position | None:
        """Take over the work and return its position; None if it has finished."""

    def advance(self, old: Position, new: Position) -> bool:
        """Move from ``old`` to ``new``; False if the stored position is not ``old`` or has another owner."""

    def correct(self, position: Position) -> None:
        """Write the actual result of a batch that has already advanced."""

    def record(self, failures: Iterable[RowFailure]) -> None:
        """Record failed rows."""

    def advance_after(self, old: Position, new: Position, failures: Iterable[RowFailure]) -> bool:
        """Advance and record in one transaction, after the transaction of the rows."""

    def has_failed(self, key: str) -> bool:
        """Return whether a failure of this row is recorded."""

    def other_shards(self) -> OtherShards:
        """Return the stored counts of the other shards."""

    def lock_shards(self) -> None:
        """Lock the checkpoints of all shards until the end of the transaction, as its first statement."""

    def current(self) -> Position:
        """Return the stored position; raises LockLost if another process has taken over."""

    def finish(self, position: Position) -> None:
        """Mark the work as finished: the next run starts over."""


def digest(text: str) -> str:
    """Return a digest that an index can hold and every collation compares exactly."""
    return hashlib.sha256(text.encode()).hexdigest()


def shard_labels(count: int) -> list[str]:
    """Return the labels of all shards, such as ``1/4``; one empty label without shards."""
    return [f"{number}/{count}" if count > 1 else "" for number in range(1, count + 1)]


def shard_count(label: str) -> int:
    """Return the number of shards in a label."""
    return int(label.partition("/")[2] or 1)
