"""Rows that failed to rows that are done: each in a transaction of its own, with the record of its failure."""

from __future__ import annotations

from dataclasses import dataclass

from django.core.management.base import CommandError
from django.db import transaction

from django_runbook.batch.checkpoint import RowStore
from django_runbook.batch.errors import Failure, Kind, classify, message, origin
from django_runbook.batch.loop import Host, refuse_rollback
from django_runbook.batch.options import BatchOptions
from django_runbook.batch.spans import Outcome, Source, Span
from django_runbook.models import FailedRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Retried:
    """What came of the rows that had failed."""

    done_count: int
    failed_count: int


def retry_failed(source: Source, store: RowStore, *, host: Host, alias: str, options: BatchOptions) -> Retried:
    """Do the rows that are recorded as failed, and no others."""
    known = {row.key: row for row in store.failed_rows().order_by("pk")[: options.limit]}
    done_count = failed_count = 0
    found = set[str]()
    for span in source.find(list(known)):
        if host.stopping:
            break
        row = known[span.high]
        found.add(span.high)
        count, error = _retry(source, span, row, alias=alias, is_kept=not options.dry_run)
        done_count += count
        if error is None and not count:
            host.tell(f"{row.name} is not there any more, or is not to be done")
        if error is None:
            continue
        failed_count += 1
        failure = Failure.of(error, key=row.key, name=row.name)
        host.tell(f"{row.name}: {failure.error}")
        if not options.dry_run:
            store.fail_again(failure)
    for key in known.keys() - found if not host.stopping else ():
        host.tell(f"{known[key].name} is not there any more")
    return Retried(done_count=done_count, failed_count=failed_count)


def _retry(
    source: Source, span: Span, row: FailedRow, *, alias: str, is_kept: bool
) -> tuple[int, BaseException | None]:
    try:
        # The record may be in another database than the row.
        with transaction.atomic(using=row._state.db):
            # First, as in a batch: who deletes the record may do the row.
            is_ours, _ = FailedRow.objects.using(row._state.db).filter(pk=row.pk).delete()
            with transaction.atomic(using=alias):
                count = _done_count(source.process(span)) if is_ours else 0
                refuse_rollback(alias)
                if not is_kept:
                    transaction.set_rollback(True, using=alias)
            if not is_kept:
                transaction.set_rollback(True, using=row._state.db)
    except Exception as error:  # noqa: BLE001 - whatever the work raises is looked at
        cause = origin(error)
        if classify(cause) is Kind.ROW:
            return 0, cause
        if isinstance(cause, CommandError):
            raise cause from None
        raise CommandError(f"{row.name}: {message(cause)}") from cause
    return count, None


def _done_count(outcome: Outcome) -> int:
    if outcome.failures:
        raise ValueError(outcome.failures[0].error)
    return outcome.done_count
