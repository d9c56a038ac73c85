"""Runs a piece of work from its checkpoint to its end."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

from django.core.management.base import CommandError
from django.db import Error, transaction

from django_runbook.batch.core.batch_loop import BatchHost, BatchLoop
from django_runbook.batch.core.batch_options import BatchOptions
from django_runbook.batch.core.batch_result import BatchResult
from django_runbook.batch.core.checkpoint import CheckpointStore
from django_runbook.batch.core.retrying import TransientRetry
from django_runbook.batch.core.sizing import AdaptiveSize, FixedSize
from django_runbook.batch.core.store import Position, PositionStore, TakeoverStopped
from django_runbook.batch.core.transactions import Transactions
from django_runbook.batch.core.work import ShardRange, WorkSource
from django_runbook.batch.parts.progress_tracking import ProgressTracker, Total
from django_runbook.exceptions import in_words
from django_runbook.structs import Struct

_FINAL_PASSES: Final = 3


class RunHost(BatchHost, Protocol):
    """Provides a run with progress, besides what the loop needs."""

    def progress(
        self, *, total: Total = None, description: str = "", done_count: int = 0, failed_count: int = 0
    ) -> ProgressTracker: ...


class BatchRun(Struct):
    """Takes over the position, loops over the work, makes final passes, and finishes.

    ``store`` keeps the position. ``checkpoints`` holds the failed rows; it is None if there is no table for them.
    """

    source: WorkSource
    store: PositionStore
    checkpoints: CheckpointStore | None
    host: RunHost
    options: BatchOptions
    transactions: Transactions
    description: str
    is_todo: bool
    has_total: bool

    def run(self) -> BatchResult:
        """Run the work until its end, a limit or a stop."""
        bounds = partial(self._retry.call, self._bounds)
        try:
            position = self._store_retry.call(lambda: self.store.begin(bounds=bounds, restart=self.options.restart))
        except TakeoverStopped:
            return self._result(is_complete=False)
        if position is None:
            # Already finished; rows that failed then may still be failed.
            return self._result(failed_count=self._own_checkpoints(lambda store: store.failed_count(), default=0))
        if self.options.shard.count > 1 and not position.upper:
            self._store_retry.call(lambda: self.store.finish(position))
            return self._result()
        return self._process(position)

    def _process(self, position: Position) -> BatchResult:
        # A share of all rows needs their count before the first row fails, in the middle of a batch.
        # All shards were counted together with their bounds.
        is_counted = self.options.shard.count > 1 and not self.options.dry_run
        needs_total = self.has_total and self.options.max_errors.percent and not is_counted
        total_count = self._count_first(position) if needs_total else None
        loop = self._loop(total_count)
        # With a limit, progress and its estimate cover this run only.
        base = Position() if self.options.limit is None else position
        done_count, failed_count = _counts(position, since=base)
        with self.host.progress(
            total=self._total(loop, base, total_count=total_count),
            description=self.description,
            done_count=done_count,
            failed_count=failed_count,
        ) as tracker:

            def show(now: Position) -> None:
                tracker.update(*_counts(now, since=base))

            is_complete = loop.run(position, on_batch=show)
            if is_complete and self.is_todo and not self.options.dry_run:
                is_complete = self._run_final_passes(loop, on_batch=show)
            if is_complete:
                tracker.finish()
        if is_complete:
            self._store_retry.call(lambda: self.store.finish(loop.position))
        failed_count = loop.position.failed_count
        if failed_count:
            # --retry-failed may have done some of them since.
            failed_count = self._own_checkpoints(lambda store: store.failed.of_shard().count(), default=failed_count)
        return self._result(
            done_count=loop.position.done_count,
            failed_count=failed_count,
            earlier_count=position.done_count,
            is_complete=is_complete,
        )

    @property
    def _retry(self) -> TransientRetry:
        return TransientRetry(alias=self.transactions.alias, wait=self.host.wait)

    @property
    def _store_retry(self) -> TransientRetry:
        return TransientRetry(alias=self.store.alias or self.transactions.alias, wait=self.host.wait)

    def _bounds(self) -> list[ShardRange]:
        count = self.options.shard.count
        return self.source.shard_bounds(count) if count > 1 else [ShardRange(start="", upper=self.source.last())]

    def _loop(self, total_count: int | None) -> BatchLoop:
        size = self.options.batch_size
        return BatchLoop(
            self.source,
            self.store,
            host=self.host,
            options=self.options,
            transactions=self.transactions,
            size=AdaptiveSize(target_seconds=self.options.target_seconds) if size is None else FixedSize(size),
            total_count=total_count,
        )

    def _total(self, loop: BatchLoop, base: Position, *, total_count: int | None) -> Total:
        counts_late = self.has_total and total_count is None

        def total() -> int | None:
            count = self._count_late(loop.position) if counts_late else total_count
            if count is None or self.options.limit is None:
                return count
            return min(count - base.done_count - base.failed_count, self.options.limit)

        return total if counts_late else total()

    def _count_first(self, position: Position) -> int | None:
        try:
            return self._retry.call(lambda: self._count(position))
        except Error as error:
            raise CommandError(
                f"a share in --max-errors needs the number of rows, which cannot be counted: {in_words(error)}; "
                "pass a number of rows instead"
            ) from error

    def _count_late(self, position: Position) -> int | None:
        try:
            # In a savepoint: a failed count must not spoil a transaction that holds all work.
            with transaction.atomic(using=self.transactions.alias):
                return self._count(position)
        except Error as error:
            self.host.write_message(
                f"the rows cannot be counted, so progress is shown without a total: {in_words(error)}"
            )
            return None

    def _count(self, position: Position) -> int | None:
        remaining_count = self.source.count(after=position.cursor, upto=position.upper)
        return None if remaining_count is None else position.done_count + position.failed_count + remaining_count

    def _run_final_passes(self, loop: BatchLoop, *, on_batch: Callable[[Position], None]) -> bool:
        """Process rows that were committed before the cursor in the meantime; returns whether the work is complete."""
        is_last_shard = self.options.shard.number == self.options.shard.count
        for _ in range(_FINAL_PASSES):
            if not self._has_remaining(loop.position, is_open=is_last_shard):
                return True
            loop.rewind(upper=self._retry.call(self.source.last) if is_last_shard else loop.position.upper)
            if not loop.run(loop.position, on_batch=on_batch):
                return False
        if self._has_remaining(loop.position, is_open=False):
            raise CommandError(
                f"rows remain after {_FINAL_PASSES} more passes: the work does not remove them from get_queryset(), "
                "or rows are added faster than they are processed"
            )
        return True

    def _has_remaining(self, position: Position, *, is_open: bool) -> bool:
        failed_keys = list[str]()
        if self.checkpoints is not None:
            failed = self.checkpoints.failed.all()
            retry = TransientRetry(alias=self.checkpoints.alias, wait=self.host.wait)
            failed_keys = retry.call(lambda: list(failed.values_list("key", flat=True)))
        upto = "" if is_open else position.upper
        return self._retry.call(lambda: self.source.has_remaining(after=position.start, upto=upto, without=failed_keys))

    def _own_checkpoints(self, count: Callable[[CheckpointStore], int], *, default: int) -> int:
        """Count by the table of checkpoints, if the run keeps its position there."""
        checkpoints = self.checkpoints
        if checkpoints is None or checkpoints is not self.store:
            return default
        return self._store_retry.call(lambda: count(checkpoints))

    def _result(
        self, *, done_count: int = 0, failed_count: int = 0, earlier_count: int = 0, is_complete: bool = True
    ) -> BatchResult:
        return BatchResult(
            done_count=done_count,
            failed_count=failed_count,
            earlier_count=earlier_count,
            is_complete=is_complete,
            is_dry_run=self.options.dry_run,
        )


def _counts(position: Position, *, since: Position) -> tuple[int, int]:
    failed_count = position.failed_count - since.failed_count
    return position.done_count - since.done_count + failed_count, failed_count
