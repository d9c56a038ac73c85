"""Finds the database that holds the table of checkpoints."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from django.db import DatabaseError, router, transaction

from django_runbook.batch.core.error_kinds import ErrorKind, classify
from django_runbook.batch.core.retrying import TransientRetry
from django_runbook.models.checkpoints import Checkpoint, FailedRow, FinishedKey


def checkpoint_alias(alias: str, *, wait: Callable[[float], bool] = lambda seconds: False) -> str | None:
    """Return the alias that keeps the checkpoints of work in a database: itself, otherwise the default, or None."""
    for candidate in dict.fromkeys((alias, router.db_for_write(Checkpoint))):
        has_tables = partial(TransientRetry(alias=candidate, wait=wait).call, partial(has_table, candidate))
        if router.allow_migrate_model(candidate, Checkpoint) and has_tables():
            return candidate
    return None


def has_table(alias: str) -> bool:
    """Return whether a database has the tables of checkpoints, failed rows and finished keys."""
    try:
        # In a savepoint: inside a transaction a failed statement would spoil it.
        with transaction.atomic(using=alias):
            Checkpoint.objects.using(alias).only("pk").first()
            FailedRow.objects.using(alias).only("pk").first()
            FinishedKey.objects.using(alias).only("pk").first()
    except DatabaseError as error:
        if classify(error) is ErrorKind.TRANSIENT:
            raise
        return False
    return True
