"""Processes each row of a queryset, in batches that survive being killed.

    class Command(BatchCommand):
        help = "Classify each flight's delay."
        is_todo = True

        def get_queryset(self):
            return Flight.objects.filter(delay_class="")

        def process_item(self, flight):
            flight.delay_class = classify(flight)
            flight.save(update_fields=["delay_class"])

Each batch and the checkpoint that it moves are one transaction: if the command is killed at any point, the next run
continues after the last committed batch, and no row is processed twice or skipped.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.management.base import CommandError
from django.db.models import QuerySet

from django_runbook.batch.core.error_kinds import ItemError
from django_runbook.batch.core.work import BatchOutcome, KeyRange, WorkSource, process_each
from django_runbook.batch.django_compat import cached_rows, has_joins
from django_runbook.batch.source_command import SourceCommand
from django_runbook.batch.sources.keyset import PRIMARY_KEY, Key
from django_runbook.batch.sources.queryset_source import QuerySetSource


class BatchCommand(SourceCommand):
    """Processes the rows of `get_queryset`, one at a time or a batch at a time.

    ``is_todo`` declares that rows leave `get_queryset` when they are done; a final pass then picks up rows that were
    committed late, before the cursor. ``key_fields`` are the columns of the order, by default the primary key. The work
    must not change them.
    """

    key_fields: ClassVar[tuple[str, ...]] = PRIMARY_KEY
    has_shards = True

    def get_queryset(self) -> QuerySet[Any]:
        """Return the rows to process; its filter may depend on ``self.options``, and the work may change it."""
        raise NotImplementedError("a BatchCommand needs get_queryset()")

    def process_batch(self, rows: QuerySet[Any]) -> int | None:
        """Process a batch, row by row or with one statement such as ``rows.update(…)``.

        Returns how many rows were done, or None for all of them. By default it calls `process_item` for each row.
        """
        raise NotImplementedError("a batch command needs process_item() or process_batch()")

    def make_source(self) -> WorkSource:
        """Return the rows of `get_queryset` in the order of the key."""
        rows = self.get_queryset().using(self.database)
        key = Key(rows.model, self.key_fields)
        by_item = type(self).process_batch is BatchCommand.process_batch
        if by_item and type(self).process_item is SourceCommand.process_item:
            raise CommandError("the command has neither process_item() nor process_batch()")

        def range_by_items(rows: QuerySet[Any], key_range: KeyRange) -> BatchOutcome:
            return self._range_by_items(rows, key_range, key)

        work = range_by_items if by_item else self._range_at_once
        return QuerySetSource(rows, key=key, work=work, is_todo=self.is_todo)

    def describe_source(self) -> str:
        """Describe the model and the key."""
        return f"{self.get_queryset().model._meta.label} by {', '.join(self.key_fields)}"

    def _range_by_items(self, rows: QuerySet[Any], key_range: KeyRange, key: Key) -> BatchOutcome:
        items = list(rows)
        if has_joins(rows):
            items = list({item.pk: item for item in items}.values())
        # Read before the work, which may change the item: delete() clears its key, and so does code that copies it.
        keys = [key.values_of(item) for item in items]
        count, error = process_each(items, self.process_item, is_stopping=lambda: self.stopping)
        if error is not None:
            before = key.encode(keys[count - 1]) if count else key_range.low
            raise ItemError(before=before, key=key.encode(keys[count]), index=count) from error
        high = key_range.high if count == len(items) else key.encode(keys[count - 1])
        return BatchOutcome(high=high, done_count=count, seen_count=count)

    def _range_at_once(self, rows: QuerySet[Any], key_range: KeyRange) -> BatchOutcome:
        count = self.process_batch(rows)
        if count is None:
            cached = cached_rows(rows)
            count = key_range.count if cached is None else len(cached)
        return BatchOutcome(high=key_range.high, done_count=count)
