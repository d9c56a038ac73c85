"""Spans of work to committed batches: each in a transaction together with the checkpoint that it moves."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from django.core.management.base import CommandError
from django.db import Error, connections, transaction

from django_runbook.batch.core.batch_options import BatchOptions
from django_runbook.batch.core.checkpoint import Position, Store
from django_runbook.batch.core.error_kinds import Failure, ItemError, Kind, classify, message, origin
from django_runbook.batch.core.retrying import RETRIES, Patience, delay_seconds
from django_runbook.batch.core.sizing import BatchSize
from django_runbook.batch.core.timeouts import limit_idle
from django_runbook.batch.core.work import Outcome, Source, Span
from django_runbook.exceptions import LockLost, RunbookError

_THROTTLE_LOOK_SECONDS: Final = 5.0


class Host(Protocol):
    """What the loop asks of the command around it."""

    @property
    def stopping(self) -> bool: ...

    def wait(self, seconds: float) -> bool: ...

    def throttle(self) -> float | None: ...

    def tell(self, text: str) -> None: ...

    def show_progress(self, position: Position) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Transactions:
    """How the loop's transactions are made: ``is_whole`` where one holds them all."""

    alias: str
    is_whole: bool = False
    idle_limit_seconds: float = 60.0

    @contextlib.contextmanager
    def batch(self, *, is_kept: bool) -> Iterator[None]:
        """One batch; rolled back at its end where it is not kept."""
        with transaction.atomic(using=self.alias, durable=not self.is_whole):
            if not self.is_whole:
                limit_idle(connections[self.alias], self.idle_limit_seconds)
            yield
            refuse_rollback(self.alias)
            if not is_kept:
                transaction.set_rollback(True, using=self.alias)


def refuse_rollback(alias: str) -> None:
    """Raise where Django would roll a transaction back at its end without a word: the work in it would be lost."""
    if connections[alias].needs_rollback:
        raise transaction.TransactionManagementError(
            "the work has caught an error of the database, or closed its connection, and the transaction cannot be "
            "committed; an error may be caught around an atomic() of its own"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Piece:
    """A span to do, or, with its outcome, one to go past; ``note`` is told when that is committed."""

    span: Span
    outcome: Outcome | None = None
    note: str = ""


class _Moved(Exception):
    """The position was another one than ours, although nobody has taken over: a commit that we took for lost."""


class BatchLoop:
    """Does the work of a source, from a position on, as far as it gets."""

    def __init__(
        self,
        source: Source,
        store: Store,
        *,
        host: Host,
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
        self._total_count = total_count
        self._seen_count = 0
        self._patience = Patience(alias=transactions.alias, wait=host.wait)
        self._store_patience = Patience(alias=store.alias or transactions.alias, wait=host.wait)

    def run(self, position: Position) -> bool:
        """Do the work after a position; returns whether all of it is done, also if that took the whole limit."""
        self.position = position
        while not self._host.stopping:
            size = self._size.next()
            if self._options.limit is not None:
                size = min(size, self._options.limit - self._seen_count)
                if size <= 0:
                    return self._patience.ask(partial(self._next_span, 1)) is None
            span = self._patience.ask(partial(self._next_span, size))
            if span is None:
                return True
            self._do_in_time(span)
        return False

    def _next_span(self, size: int) -> Span | None:
        return self._source.next_span(after=self.position.cursor, upto=self.position.upper, size=size)

    def look_again(self, *, upper: str) -> None:
        """Go back to the start, in a transaction that is fenced like a batch."""
        old = self.position
        new = Position(
            start=old.start,
            cursor=old.start,
            upper=upper,
            batch_count=old.batch_count + 1,
            done_count=old.done_count,
            failed_count=old.failed_count,
        )
        is_moved = self._store_patience.ask(lambda: self._store.advance(old, new))
        self.position = new if is_moved else self._store_patience.ask(self._store.current)

    def _do_in_time(self, span: Span) -> None:
        started = time.monotonic()
        self._do(span)
        seconds = time.monotonic() - started
        self._size.note(count=span.count, seconds=seconds)
        self._host.show_progress(self.position)
        self._pause()

    def _pause(self) -> None:
        """Between two batches: no transaction is open and no row is locked."""
        if self._options.pause_seconds:
            self._host.wait(self._options.pause_seconds)
        while not self._host.stopping:
            seconds = self._host.throttle()
            if not seconds or seconds <= 0:
                return
            self._host.wait(min(seconds, _THROTTLE_LOOK_SECONDS))

    def _do(self, span: Span) -> None:
        """Do a span, in pieces where it fails as a whole."""
        pieces = [_Piece(span=span)]
        failure_count = 0
        while pieces and not self._host.stopping:
            piece = pieces.pop()
            if piece.span.low != self.position.cursor:
                # What lies between is searched again.
                return
            try:
                self._commit(piece.span, piece.outcome)
            except _Moved:
                return
            except Exception as error:  # noqa: BLE001 - whatever the work raises is looked at
                kind = classify(origin(error))
                failure_count = failure_count + 1 if kind is Kind.TRANSIENT else 0
                pieces += reversed(self._after_error(piece, error, kind=kind, failure_count=failure_count))
            else:
                failure_count = 0
                if piece.note:
                    self._host.tell(piece.note)

    def _after_error(self, piece: _Piece, error: Exception, *, kind: Kind, failure_count: int) -> Sequence[_Piece]:
        """What to do instead of a piece that failed; raises where there is nothing."""
        span, cause = piece.span, origin(error)
        if kind is Kind.TRANSIENT and failure_count <= RETRIES and not self._transactions.is_whole:
            self._host.tell(f"{self._source.name(span)}: {message(cause)}; trying again")
            self._host.wait(delay_seconds(failure_count))
            if piece.outcome is not None:
                return [piece]
            return [_Piece(span=part) for part in self._patience.ask(lambda: self._source.split(span, None))]
        if isinstance(cause, CommandError | RunbookError):
            raise cause
        if kind is not Kind.ROW or piece.outcome is not None:
            raise CommandError(f"{self._source.name(span)}: {message(cause)}") from cause
        at = error if isinstance(error, ItemError) else None
        if at is None or self._may_go_past(at.key):
            # Also of one: rows may have come into it since it was found.
            parts = self._patience.ask(lambda: self._source.split(span, at))
            if len(parts) > 1:
                return [_Piece(span=part) for part in parts]
        return [self._past(span, cause, at)]

    def _past(self, span: Span, error: BaseException, at: ItemError | None) -> _Piece:
        """The one row of a span, to be recorded and left behind; raises where no more rows may fail."""
        key = at.key if at is not None else span.high
        row = Span(low=span.low, high=key, count=1)
        name = self._source.name(row)
        if not self._may_go_past(key):
            raise CommandError(f"{name}: {message(error)}") from error
        failure = Failure.of(error, key=key, name=name)
        is_known = self._has_failed(key)
        return _Piece(
            span=row,
            outcome=Outcome(
                high=key, done_count=0, failures=() if is_known else (failure,), seen_count=0 if is_known else 1
            ),
            note=f"{name}: {failure.error}; failed again" if is_known else "",
        )

    def _may_go_past(self, key: str) -> bool:
        # A last look meets what has failed before, which counts once.
        return self._may_fail(1) or self._has_failed(key)

    def _has_failed(self, key: str) -> bool:
        return self._store_patience.ask(lambda: self._store.has_failed(key))

    def _may_fail(self, count: int) -> bool:
        failed = self.position.failed_count + count
        seen = self.position.done_count + failed
        limit = self._options.max_errors
        return limit.allows(failed, of=limit.base(total_count=self._total_count, seen_count=seen))

    def _commit(self, span: Span, outcome: Outcome | None = None) -> None:
        """Do a span in its transaction; after any error the checkpoint is asked whether that was committed."""
        old = self.position
        try:
            self.position = self._transact(old, span, outcome)
        except LockLost:
            raise
        except Exception:
            if not self._store.is_together or self._options.dry_run:
                raise
            self.position = self._store_patience.ask(self._store.current)
            if self.position.batch_count == old.batch_count:
                raise
            if self.position.cursor != span.high:
                now_count = self.position.done_count + self.position.failed_count
                self._seen_count += now_count - old.done_count - old.failed_count
                raise _Moved from None
            self._seen_count += span.count

    def _transact(self, old: Position, span: Span, outcome: Outcome | None) -> Position:
        new = old.moved(span.high, done_count=span.count)
        is_together = self._store.is_together
        with self._transactions.batch(is_kept=not self._options.dry_run):
            if is_together:
                self._advance(old, new)
            if outcome is None:
                outcome = self._source.process(span)
            if outcome.failures and not self._may_fail(len(outcome.failures)):
                raise CommandError(f"{outcome.failures[0].name}: {outcome.failures[0].error}")
            is_as_planned = outcome.done_count == span.count and outcome.high == span.high and not outcome.failures
            if not is_as_planned:
                new = old.moved(outcome.high, done_count=outcome.done_count, failed_count=len(outcome.failures))
            if is_together and not is_as_planned:
                self._store.correct(new)
                self._store.record(outcome.failures)
        if not is_together:
            # The work is committed: it must not be done again because the other database is away for a moment.
            try:
                self._store_patience.ask(partial(self._advance_after, old, new, outcome.failures))
            except Error as error:
                raise CommandError(
                    f"{self._source.name(span)}: done, but its checkpoint could not be written, so that the next run "
                    f"does it again: {message(error)}"
                ) from error
        for failure in outcome.failures:
            self._host.tell(f"{failure.name}: {failure.error}; {self._fate}")
        self._seen_count += span.count if outcome.seen_count is None else outcome.seen_count
        return new

    @property
    def _fate(self) -> str:
        if self._options.dry_run:
            return "would fail"
        # What is one transaction can still be rolled back, and its records with it.
        return "failed" if self._transactions.is_whole else "recorded as failed"

    def _advance(self, old: Position, new: Position) -> None:
        if self._store.advance(old, new):
            return
        # Somebody else's, which raises, or ours: a commit whose connection broke off has gone through after all.
        self.position = self._store.current()
        raise _Moved

    def _advance_after(self, old: Position, new: Position, failures: Sequence[Failure]) -> None:
        is_moved = self._store.advance_after(old, new, failures)
        if not is_moved and self._store.current().batch_count != new.batch_count:
            raise _Moved
