"""Processes each key range in a transaction that also moves the checkpoint."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, Protocol

from django.core.management.base import CommandError
from django.db import Error

from django_runbook.batch.core.batch_options import BatchOptions
from django_runbook.batch.core.error_budget import ErrorBudget
from django_runbook.batch.core.error_kinds import ErrorKind, ItemError, RowFailure, classify, origin
from django_runbook.batch.core.retrying import RETRIES, TransientRetry, delay_seconds
from django_runbook.batch.core.sizing import BatchSize
from django_runbook.batch.core.store import Position, PositionStore
from django_runbook.batch.core.transactions import Transactions
from django_runbook.batch.core.work import BatchOutcome, KeyRange, WorkSource
from django_runbook.exceptions import LockLost, RunbookError, in_words
from django_runbook.structs import Struct

_MAX_THROTTLE_SECONDS: Final = 5.0


class BatchHost(Protocol):
    """Provides the loop with the stop flag, the remaining time, waiting and messages; a command implements it."""

    @property
    def stopping(self) -> bool: ...

    def wait(self, seconds: float) -> bool: ...

    def remaining_seconds(self) -> float: ...

    def throttle(self) -> float | None: ...

    def write_message(self, text: str) -> None: ...


class _PlannedRange(Struct):
    """Holds a range to process or, if it has an outcome, to skip; ``note`` is logged once that is committed."""

    key_range: KeyRange
    outcome: BatchOutcome | None = None
    note: str = ""


class _PositionMoved(Exception):
    """Reports that an earlier commit of ours succeeded although its answer was lost, so the position has moved."""


class BatchLoop:
    """Processes a source from a position until its end, a limit or a stop."""

    def __init__(
        self,
        source: WorkSource,
        store: PositionStore,
        *,
        host: BatchHost,
        options: BatchOptions,
        transactions: Transactions,
        size: BatchSize,
        total_count: int | None = None,
    ) -> None:
        self.position = Position()
        self._source = source
        self._store = store
        self._host = host
        self._options = options
        self._transactions = transactions
        self._size = size
        self._seen_count = 0
        self._has_begun = False
        self._is_pause_due = False
        self._retry = TransientRetry(alias=transactions.alias, wait=host.wait)
        self._store_retry = TransientRetry(alias=store.alias or transactions.alias, wait=host.wait)
        self._budget = ErrorBudget(
            store=store,
            options=options,
            retry=self._store_retry,
            total_count=total_count,
            can_lock=store.is_together and not transactions.is_whole,
        )

    def run(self, position: Position, *, on_batch: Callable[[Position], None]) -> bool:
        """Process the work after a position; returns whether it is complete, even if that took all rows or time."""
        self.position = position
        while not self._host.stopping:
            size = self._next_size()
            if size <= 0:
                return self._retry.call(partial(self._next_range, 1)) is None
            key_range = self._retry.call(partial(self._next_range, size))
            if key_range is None:
                return True
            if self._is_pause_due:
                self._is_pause_due = False
                has_waited = _pause(self._host, pause_seconds=self._options.pause_seconds)
                # Rows may have been added or deleted in the meantime, unless the range holds them.
                if self._host.stopping or self._is_time_over or (has_waited and not key_range.items):
                    continue
            self._process_timed(key_range)
            self._has_begun = True
            on_batch(self.position)
            self._is_pause_due = True
        return False

    def _next_size(self) -> int:
        """Return the size of the next batch; 0 if the limit is reached or the time is over."""
        if self._is_time_over:
            return 0
        size, limit = self._size.next(), self._options.limit
        return size if limit is None else max(0, min(size, limit - self._seen_count))

    @property
    def _is_time_over(self) -> bool:
        # Each run processes at least one batch, so that repeated runs reach the end.
        return self._has_begun and self._host.remaining_seconds() <= 0

    def _next_range(self, size: int) -> KeyRange | None:
        return self._source.next_range(after=self.position.cursor, upto=self.position.upper, size=size)

    def rewind(self, *, upper: str) -> None:
        """Move the position back to the start, in a transaction that is fenced like a batch."""
        old = self.position
        new = Position(
            start=old.start,
            cursor=old.start,
            upper=upper,
            batch_count=old.batch_count + 1,
            done_count=old.done_count,
            failed_count=old.failed_count,
        )
        is_moved = self._store_retry.call(lambda: self._store.advance(old, new))
        self.position = new if is_moved else self._store_retry.call(self._store.current)

    def _process_timed(self, key_range: KeyRange) -> None:
        started = time.monotonic()
        self._process(key_range)
        seconds = time.monotonic() - started
        self._size.note(count=key_range.count, seconds=seconds)

    def _process(self, key_range: KeyRange) -> None:
        planned = [_PlannedRange(key_range=key_range)]
        failure_count = 0
        while planned and not self._host.stopping:
            part = planned.pop()
            if part.key_range.low != self.position.cursor:
                # The rows in between are searched again.
                return
            try:
                self._commit(part.key_range, part.outcome)
            except _PositionMoved:
                return
            except Exception as error:  # noqa: BLE001 - any error of the work is classified
                kind = classify(origin(error))
                failure_count = failure_count + 1 if kind is ErrorKind.TRANSIENT else 0
                planned += reversed(self._after_error(part, error, kind=kind, failure_count=failure_count))
            else:
                failure_count = 0
                if part.note:
                    self._host.write_message(part.note)

    def _after_error(
        self, part: _PlannedRange, error: Exception, *, kind: ErrorKind, failure_count: int
    ) -> Sequence[_PlannedRange]:
        """Return the ranges that replace a failed one; raises if the run must end."""
        key_range, cause = part.key_range, origin(error)
        if kind is ErrorKind.TRANSIENT and failure_count <= RETRIES and not self._transactions.is_whole:
            self._host.write_message(f"{self._source.name(key_range)}: {in_words(cause)}; retrying")
            self._host.wait(delay_seconds(failure_count))
            if part.outcome is not None:
                return [part]
            return [_PlannedRange(key_range=one) for one in self._split(key_range, None)]
        if isinstance(cause, CommandError | RunbookError):
            raise cause
        if kind is not ErrorKind.ROW or part.outcome is not None:
            raise CommandError(f"{self._source.name(key_range)}: {in_words(cause)}") from cause
        at = error if isinstance(error, ItemError) else None
        if at is None or self._may_skip(at.key):
            # Also for a range of one row: rows may have been added to it since it was found.
            parts = self._split(key_range, at)
            if len(parts) > 1:
                return [_PlannedRange(key_range=one) for one in parts]
        return [self._skipped(key_range, cause, at)]

    def _split(self, key_range: KeyRange, error: ItemError | None) -> Sequence[KeyRange]:
        return self._retry.call(lambda: self._source.split(key_range, error))

    def _skipped(self, key_range: KeyRange, error: BaseException, at: ItemError | None) -> _PlannedRange:
        """Return the failed row as a range to record and skip; raises if no more rows may fail."""
        key = at.key if at is not None else key_range.high
        row = KeyRange(low=key_range.low, high=key, count=1)
        name = self._source.name(row)
        if not self._may_skip(key):
            raise CommandError(f"{name}: {in_words(error)}") from error
        failure = RowFailure.of(error, key=key, name=name)
        is_known = self._has_failed(key)
        return _PlannedRange(
            key_range=row,
            outcome=BatchOutcome(
                high=key, done_count=0, failures=() if is_known else (failure,), seen_count=0 if is_known else 1
            ),
            note=f"{name}: {failure.error}; failed again" if is_known else "",
        )

    def _may_skip(self, key: str) -> bool:
        # A final pass can meet a row that has failed before; it counts once.
        return self._budget.allows(self.position, 1) or self._has_failed(key)

    def _has_failed(self, key: str) -> bool:
        return self._store_retry.call(lambda: self._store.has_failed(key))

    def _commit(self, key_range: KeyRange, outcome: BatchOutcome | None = None) -> None:
        """Process a range in its transaction; after an error, the checkpoint shows whether it was committed."""
        old = self.position
        try:
            self.position = self._transact(old, key_range, outcome)
        except LockLost:
            raise
        except Exception:
            if not self._store.is_together or self._options.dry_run:
                raise
            self.position = self._store_retry.call(self._store.current)
            if self.position.batch_count == old.batch_count:
                raise
            if self.position.cursor != key_range.high:
                now_count = self.position.done_count + self.position.failed_count
                self._seen_count += now_count - old.done_count - old.failed_count
                raise _PositionMoved from None
            self._seen_count += key_range.count

    def _transact(self, old: Position, key_range: KeyRange, outcome: BatchOutcome | None) -> Position:
        new = old.moved(key_range.high, done_count=key_range.count)
        is_together = self._store.is_together
        failed_count = 0 if outcome is None else len(outcome.failures)
        is_locked = failed_count > 0 and self._budget.needs_lock(old, failed_count)
        with self._transactions.batch(is_kept=not self._options.dry_run):
            if is_locked:
                self._store.lock_shards()
            if is_together:
                self._advance(old, new)
            if outcome is None:
                outcome = self._source.process(key_range)
            if outcome.failures:
                self._check_budget(old, outcome.failures, is_locked=is_locked)
            is_as_planned = (
                outcome.done_count == key_range.count and outcome.high == key_range.high and not outcome.failures
            )
            if not is_as_planned:
                new = old.moved(outcome.high, done_count=outcome.done_count, failed_count=len(outcome.failures))
            if is_together and not is_as_planned:
                self._store.correct(new)
                self._store.record(outcome.failures)
        if not is_together:
            self._advance_after(old, new, key_range=key_range, failures=outcome.failures)
        for failure in outcome.failures:
            self._host.write_message(f"{failure.name}: {failure.error}; {self._failure_text}")
        self._seen_count += key_range.count if outcome.seen_count is None else outcome.seen_count
        return new

    def _check_budget(self, old: Position, failures: Sequence[RowFailure], *, is_locked: bool) -> None:
        if not self._budget.allows(old, len(failures)):
            raise CommandError(f"{failures[0].name}: {failures[0].error}")
        if not is_locked and self._budget.needs_lock(old, len(failures)):
            # Other shards have recorded failures since: the row is processed again, with their checkpoints locked.
            raise _PositionMoved

    @property
    def _failure_text(self) -> str:
        if self._options.dry_run:
            return "would fail"
        # A whole transaction can still be rolled back, together with its records.
        return "failed" if self._transactions.is_whole else "recorded as failed"

    def _advance(self, old: Position, new: Position) -> None:
        if self._store.advance(old, new):
            return
        # current() raises if another process owns the checkpoint; otherwise our own commit succeeded although its
        # connection was lost.
        self.position = self._store.current()
        raise _PositionMoved

    def _advance_after(
        self, old: Position, new: Position, *, key_range: KeyRange, failures: Sequence[RowFailure]
    ) -> None:
        def advance() -> None:
            is_moved = self._store.advance_after(old, new, failures)
            if not is_moved and self._store.current().batch_count != new.batch_count:
                raise _PositionMoved

        # The work is committed, and must not be repeated because the other database is briefly unavailable.
        try:
            self._store_retry.call(advance)
        except Error as error:
            raise CommandError(
                f"{self._source.name(key_range)}: done, but the checkpoint could not be written, so the next run "
                f"repeats it: {in_words(error)}"
            ) from error


def _pause(host: BatchHost, *, pause_seconds: float) -> bool:
    """Wait before the next batch; returns whether there was a reason to wait."""
    # Between two batches no transaction is open and no row is locked.
    has_waited = bool(pause_seconds)
    if has_waited:
        host.wait(min(pause_seconds, max(0.0, host.remaining_seconds())))
    while not host.stopping and host.remaining_seconds() > 0:
        seconds = host.throttle()
        if not seconds or seconds <= 0:
            break
        has_waited = True
        host.wait(min(seconds, _MAX_THROTTLE_SECONDS, max(0.0, host.remaining_seconds())))
    return has_waited
