"""Retries recorded failed rows, each in its own transaction together with its record."""

from __future__ import annotations

from functools import partial

from django.core.management.base import CommandError
from django.db import Error, transaction

from django_runbook.batch.core.batch_loop import BatchHost
from django_runbook.batch.core.batch_options import BatchOptions
from django_runbook.batch.core.checkpoint import CheckpointStore
from django_runbook.batch.core.error_kinds import ErrorKind, RowFailure, classify, origin
from django_runbook.batch.core.retrying import RETRIES, TransientRetry, delay_seconds
from django_runbook.batch.core.transactions import Transactions
from django_runbook.batch.core.work import BatchOutcome, KeyRange, WorkSource
from django_runbook.exceptions import in_words
from django_runbook.models.checkpoints import FailedRow
from django_runbook.structs import Struct


class RetryCounts(Struct):
    """Counts the retried rows; ``left_count`` rows were not retried."""

    done_count: int
    failed_count: int
    left_count: int


def retry_failed(
    source: WorkSource, store: CheckpointStore, *, host: BatchHost, transactions: Transactions, options: BatchOptions
) -> RetryCounts:
    """Process only the rows that are recorded as failed."""
    retry = _FailedRowRetry(
        source=source,
        store=store,
        host=host,
        transactions=transactions,
        is_kept=not options.dry_run,
        pause_seconds=options.pause_seconds,
    )
    return retry.all(limit=options.limit)


class _FailedRowRetry(Struct):
    source: WorkSource
    store: CheckpointStore
    host: BatchHost
    transactions: Transactions
    is_kept: bool
    pause_seconds: float

    def all(self, *, limit: int | None) -> RetryCounts:
        retry = TransientRetry(alias=self.store.alias, wait=self.host.wait)
        # With a limit, the rows with the fewest attempts come first.
        rows = retry.call(lambda: list(self.store.failed.all().order_by("attempt_count", "pk")))
        known = {row.key: row for row in rows[:limit]}
        done_count = failed_count = 0
        waiting = dict(known)
        has_begun = False
        # All rows are searched for, because the place of one can help to find another.
        for key_range in self.source.find([row.key for row in rows]):
            if self.host.stopping or (has_begun and self.host.remaining_seconds() <= 0):
                break
            if key_range.high not in waiting:
                if self.is_kept and key_range.next_key:
                    # Once its neighbours are done, the row would not be found by its old key.
                    retry.call(partial(self.store.failed.rename, key_range.high, key_range.next_key))
                continue
            if has_begun and self.pause_seconds:
                self.host.wait(min(self.pause_seconds, self.host.remaining_seconds()))
                if self.host.stopping or self.host.remaining_seconds() <= 0:
                    break
            has_begun = True
            row = waiting.pop(key_range.high)
            count, error = self._process(key_range, row)
            done_count += count
            if error is None:
                continue
            failed_count += 1
            failure = RowFailure.of(error, key=key_range.next_key or row.key, name=row.name)
            self.host.write_message(f"{row.name}: {failure.error}")
            if self.is_kept:
                retry.call(partial(self.store.failed.record_again, failure, known_as=row.key))
        else:
            for row in waiting.values():
                self.host.write_message(f"{row.name} no longer exists")
            waiting.clear()
        left_count = len(rows) - len(known) + len(waiting)
        return RetryCounts(done_count=done_count, failed_count=failed_count, left_count=left_count)

    def _process(self, key_range: KeyRange, row: FailedRow) -> tuple[int, BaseException | None]:
        """Return the number of rows done, 0 or 1, and the error if the row failed again."""
        failure_count = 0
        while True:
            try:
                count = self._transact(key_range, row)
            except Exception as error:  # noqa: BLE001 - any error of the work is classified
                cause = origin(error)
                kind = classify(cause)
                if kind is ErrorKind.ROW:
                    return 0, cause
                failure_count += 1
                if kind is ErrorKind.FATAL or failure_count > RETRIES:
                    if isinstance(cause, CommandError):
                        raise cause from None
                    raise CommandError(f"{row.name}: {in_words(cause)}") from cause
                self.host.write_message(f"{row.name}: {in_words(cause)}; retrying")
                self.host.wait(delay_seconds(failure_count))
                continue
            if count is None and failure_count:
                # The record disappeared after our first attempt: that commit succeeded, and its answer was lost.
                return 1, None
            if not count:
                self.host.write_message(f"{row.name} no longer exists, or no longer needs to be done")
            return count or 0, None

    def _transact(self, key_range: KeyRange, row: FailedRow) -> int | None:
        """Return the number of rows done; None if the record is gone."""
        if self.store.is_together:
            with self.transactions.batch(is_kept=self.is_kept):
                return _done_count(self.source.process(key_range)) if self.store.failed.claim(row) else None
        is_done = False
        try:
            with transaction.atomic(using=self.store.alias):
                if not self.store.failed.claim(row):
                    return None
                with self.transactions.batch(is_kept=self.is_kept):
                    count = _done_count(self.source.process(key_range))
                is_done = self.is_kept
                if not self.is_kept:
                    transaction.set_rollback(True, using=self.store.alias)
            return count
        except Error as error:
            if not is_done:
                raise
            raise CommandError(
                f"{row.name}: done, but its record could not be deleted, so the next --retry-failed repeats it: "
                f"{in_words(error)}"
            ) from error


def _done_count(outcome: BatchOutcome) -> int:
    if outcome.failures:
        raise ValueError(outcome.failures[0].error)
    return outcome.done_count
