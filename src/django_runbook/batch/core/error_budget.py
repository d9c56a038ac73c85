"""Counts the failed rows of all shards of a piece of work against ``--max-errors``."""

from __future__ import annotations

from django_runbook.batch.core.batch_options import BatchOptions
from django_runbook.batch.core.retrying import TransientRetry
from django_runbook.batch.core.store import OtherShards, Position, PositionStore
from django_runbook.structs import Struct


class ErrorBudget(Struct):
    """Decides whether more rows may fail; ``total_count`` is the number of rows of this shard, None if unknown.

    A shard that is further from the limit than the other shards could go at the same moment records its failure without
    waiting for them. Nearer to the limit it locks the checkpoints of all shards first, so that the limit is exact.
    It cannot lock them (``can_lock``) if the checkpoints are written in another transaction than the rows, or if one
    transaction holds all batches: then shards that fail at the same moment may exceed the limit together.
    """

    store: PositionStore
    options: BatchOptions
    retry: TransientRetry
    total_count: int | None
    can_lock: bool = True

    def allows(self, position: Position, count: int) -> bool:
        """Return whether ``count`` more rows may fail."""
        return self._allows(position, count, reserve_count=0)

    def needs_lock(self, position: Position, count: int) -> bool:
        """Return whether the other shards could exceed the limit if each of them records a failure too."""
        reserve_count = self.options.shard.count - 1
        return self.can_lock and reserve_count > 0 and not self._allows(position, count, reserve_count=reserve_count)

    def _allows(self, position: Position, count: int, *, reserve_count: int) -> bool:
        limit = self.options.max_errors
        if not (limit.count or limit.percent):
            return not count
        others = self.retry.call(self.store.other_shards) if self.options.shard.count > 1 else OtherShards()
        failed_count = position.failed_count + others.failed_count + count
        seen_count = position.done_count + others.done_count + failed_count
        total_count = self.total_count if others.total_count is None else others.total_count
        base = limit.base(total_count=total_count, seen_count=seen_count)
        return limit.allows(failed_count + reserve_count, of=base)
