"""Finds what remains of a piece of work, for an estimate: nothing is taken over."""

from __future__ import annotations

from django_runbook.batch.core.batch_options import BatchOptions
from django_runbook.batch.core.checkpoint import CheckpointStore
from django_runbook.batch.core.dry_stores import DryRunStore
from django_runbook.batch.core.store import Position
from django_runbook.batch.core.work import ShardRange
from django_runbook.structs import Struct


class RemainingRows(Struct):
    """Delimits the rows that a run would process: those after ``after`` up to ``upto``, some of them failed.

    ``earlier_count`` rows were processed by an unfinished run. A shard of work that ``is_new`` has no bounds yet.
    """

    after: str = ""
    upto: str = ""
    earlier_count: int = 0
    failed_count: int = 0
    is_new: bool = True


def find_remaining(store: CheckpointStore | None, *, options: BatchOptions, is_todo: bool) -> RemainingRows | None:
    """Return what remains; None if the work has finished. ``store`` is None if the run would keep no position.

    Rows of work that ``is_todo`` leave the queryset when they are done, and a final pass picks up those before the
    cursor.
    """
    asked: list[int] = []

    def unknown_bounds() -> list[ShardRange]:
        # Their search reads all rows.
        asked.append(options.shard.count)
        return [ShardRange(start="", upper="")] * options.shard.count

    dry = DryRunStore(store, shard_index=options.shard.number - 1)
    position = dry.begin(bounds=unknown_bounds, restart=options.restart)
    if position is None or store is None:
        return None if position is None else RemainingRows()
    if asked and not position.start:
        return RemainingRows()
    if options.shard.count > 1 and not (position.upper or asked):
        # There were fewer rows than shards.
        return None
    return _rest(position, store, options=options, is_todo=is_todo)


def _rest(position: Position, store: CheckpointStore, *, options: BatchOptions, is_todo: bool) -> RemainingRows:
    is_open = is_todo and options.shard.number == options.shard.count
    return RemainingRows(
        after=position.start if is_todo else position.cursor,
        upto="" if is_open else position.upper,
        earlier_count=position.done_count + position.failed_count,
        failed_count=store.failed.of_shard().count() if is_todo else 0,
        is_new=False,
    )
