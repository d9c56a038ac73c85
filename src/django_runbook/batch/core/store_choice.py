"""Chooses where a run keeps its position."""

from __future__ import annotations

from collections.abc import Callable

from django.core.management.base import CommandError

from django_runbook.batch.core.batch_options import BatchOptions, ErrorLimit
from django_runbook.batch.core.checkpoint import CheckpointStore
from django_runbook.batch.core.dry_stores import DryRunStore, NullStore
from django_runbook.batch.core.store import PositionStore


def choose_store(
    checkpoints: CheckpointStore | None,
    *,
    options: BatchOptions,
    database: str,
    is_whole: bool,
    log: Callable[[str], None],
) -> PositionStore:
    """Return the store of a run; ``checkpoints`` is None if there is no table for them.

    Without exactly-once processing, it logs why. It raises CommandError if an option needs the missing table.
    """
    if options.dry_run:
        return DryRunStore(checkpoints, shard_index=options.shard.number - 1)
    if checkpoints is None:
        _refuse_without_table(options)
        log(
            "at least once: no database has the table of checkpoints for this one, so an interrupted run starts over "
            "(migrate django_runbook there)"
        )
        return NullStore()
    if not checkpoints.is_together and is_whole:
        # A whole transaction needs no position, and one in another database would not be rolled back with it.
        _refuse_for_whole_transaction(options, database)
        return NullStore()
    if not checkpoints.is_together:
        log(
            f'at least once: the database "{database}" has no table of checkpoints, so they are kept in another one, '
            "after each batch; a run that is killed in between repeats a batch"
        )
    return checkpoints


def _refuse_without_table(options: BatchOptions) -> None:
    for option, is_given in (("--shard", options.shard.count > 1), ("--run-key", options.run_key)):
        if is_given:
            raise CommandError(f"{option} needs the table of checkpoints: migrate django_runbook")
    if options.max_errors != ErrorLimit():
        raise CommandError(
            "--max-errors records failed rows, but no database has the tables for them: migrate django_runbook, or "
            "omit the option"
        )


def _refuse_for_whole_transaction(options: BatchOptions, database: str) -> None:
    if options.max_errors != ErrorLimit():
        raise CommandError(
            f'--max-errors records failed rows in the database "{database}", because the command is one transaction, '
            "but the tables for them are missing: migrate django_runbook there, or omit the option"
        )
    if options.run_key:
        raise CommandError(
            f'--run-key needs the table of checkpoints in the database "{database}", because the command is one '
            "transaction: migrate django_runbook there"
        )
