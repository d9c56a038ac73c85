"""Rows that failed to rows that are done: each in a transaction of its own, with the record of its failure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from django.core.management.base import CommandError
from django.db import Error, transaction

from django_runbook.batch.core.batch_loop import Host, Transactions
from django_runbook.batch.core.batch_options import BatchOptions
from django_runbook.batch.core.checkpoint import RowStore
from django_runbook.batch.core.error_kinds import Failure, Kind, classify, message, origin
from django_runbook.batch.core.retrying import RETRIES, Patience, delay_seconds
from django_runbook.batch.core.work import Outcome, Source, Span
from django_runbook.models import FailedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """What came of the rows that had failed; ``left_count`` of them were not tried."""

    done_count: int
    failed_count: int
    left_count: int


def retry_failed(
    source: Source, store: RowStore, *, host: Host, transactions: Transactions, options: BatchOptions
) -> Retried:
    """Do the rows that are recorded as failed, and no others."""
    retry = _Retry(source=source, store=store, host=host, transactions=transactions, is_kept=not options.dry_run)
    return retry.all(limit=options.limit)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Retry:
    source: Source
    store: RowStore
    host: Host
    transactions: Transactions
    is_kept: bool

    def all(self, *, limit: int | None) -> Retried:
        patience = Patience(alias=self.store.alias, wait=self.host.wait)
        # With a limit, those come first that were tried less often.
        rows = patience.ask(lambda: list(self.store.failed_rows().order_by("attempt_count", "pk")))
        known = {row.key: row for row in rows[:limit]}
        done_count = failed_count = 0
        waiting = dict(known)
        # Of all, as one may tell where another one is.
        for span in self.source.find([row.key for row in rows]):
            if self.host.stopping:
                break
            if span.high not in waiting:
                if self.is_kept and span.next_key:
                    # Those that follow may be done now, and would not be known again.
                    patience.ask(partial(self.store.rename_failed, span.high, span.next_key))
                continue
            row = waiting.pop(span.high)
            count, error = self._do(span, row)
            done_count += count
            if error is None:
                continue
            failed_count += 1
            failure = Failure.of(error, key=span.next_key or row.key, name=row.name)
            self.host.tell(f"{row.name}: {failure.error}")
            if self.is_kept:
                patience.ask(partial(self.store.fail_again, failure, known_as=row.key))
        else:
            for row in waiting.values():
                self.host.tell(f"{row.name} is not there any more")
            waiting.clear()
        left_count = len(rows) - len(known) + len(waiting)
        return Retried(done_count=done_count, failed_count=failed_count, left_count=left_count)

    def _do(self, span: Span, row: FailedRow) -> tuple[int, BaseException | None]:
        """Whether the row is done now, as a count, and what it failed with."""
        failure_count = 0
        while True:
            try:
                count = self._transact(span, row)
            except Exception as error:  # noqa: BLE001 - whatever the work raises is looked at
                cause = origin(error)
                kind = classify(cause)
                if kind is Kind.ROW:
                    return 0, cause
                failure_count += 1
                if kind is Kind.FATAL or failure_count > RETRIES:
                    if isinstance(cause, CommandError):
                        raise cause from None
                    raise CommandError(f"{row.name}: {message(cause)}") from cause
                self.host.tell(f"{row.name}: {message(cause)}; trying again")
                self.host.wait(delay_seconds(failure_count))
                continue
            if count is None and failure_count:
                # Gone since we tried: it was our own commit, whose answer was lost.
                return 1, None
            if not count:
                self.host.tell(f"{row.name} is not there any more, or is not to be done")
            return count or 0, None

    def _transact(self, span: Span, row: FailedRow) -> int | None:
        """How many rows were done; None where the record is gone."""
        if self.store.is_together:
            with self.transactions.batch(is_kept=self.is_kept):
                return _done_count(self.source.process(span)) if self.store.take(row) else None
        is_done = False
        try:
            with transaction.atomic(using=self.store.alias):
                if not self.store.take(row):
                    return None
                with self.transactions.batch(is_kept=self.is_kept):
                    count = _done_count(self.source.process(span))
                is_done = self.is_kept
                if not self.is_kept:
                    transaction.set_rollback(True, using=self.store.alias)
            return count
        except Error as error:
            if not is_done:
                raise
            raise CommandError(
                f"{row.name}: done, but its record could not be deleted, so that the next --retry-failed does it "
                f"again: {message(error)}"
            ) from error


def _done_count(outcome: Outcome) -> int:
    if outcome.failures:
        raise ValueError(outcome.failures[0].error)
    return outcome.done_count
