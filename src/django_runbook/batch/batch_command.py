"""A command that does something to each row of a queryset, in batches that survive being killed.

    class Command(BatchCommand):
        help = "Classify each flight's delay."
        is_todo = True

        def get_queryset(self):
            return Flight.objects.filter(delay_class="")

        def process_item(self, flight):
            flight.delay_class = classify(flight)
            flight.save(update_fields=["delay_class"])

Each batch and the checkpoint that it moves are one transaction: killed anywhere, the next run goes on after the last
batch that was committed, and no row is done twice or left out.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.management.base import CommandError
from django.db.models import QuerySet

from django_runbook.batch.core.error_kinds import ItemError
from django_runbook.batch.core.work import Outcome, Source, Span
from django_runbook.batch.source_command import SourceCommand, do_each
from django_runbook.batch.sources.queryset_source import PRIMARY_KEY, Key, QuerySetSource


class BatchCommand(SourceCommand):
    """A command that works on the rows of `get_queryset`, one by one or a batch at a time.

    ``is_todo`` says that rows leave `get_queryset` when they are done: then a last look finds those that were committed
    late, behind the cursor. ``key_fields`` are the columns of the order, by default the primary key. The work must not
    change them.
    """

    key_fields: ClassVar[tuple[str, ...]] = PRIMARY_KEY
    has_shards = True

    def get_queryset(self) -> QuerySet[Any]:
        """The rows to work on: any filter, also one that the work itself changes, and by ``self.options``."""
        raise NotImplementedError("a BatchCommand needs get_queryset()")

    def process_batch(self, rows: QuerySet[Any]) -> int | None:
        """Do the work of a batch, by its rows or with one statement for all, such as ``rows.update(…)``.

        Returns how many rows were done, or None for all of them. By default it calls `process_item` for each.
        """
        raise NotImplementedError("a batch command needs process_item() or process_batch()")

    def make_source(self) -> Source:
        """The rows of `get_queryset`, in the order of the key."""
        rows = self.get_queryset().using(self.database)
        key = Key(rows.model, self.key_fields)
        by_item = type(self).process_batch is BatchCommand.process_batch
        if by_item and type(self).process_item is SourceCommand.process_item:
            raise CommandError("the command has neither process_item() nor process_batch()")

        def one_by_one(rows: QuerySet[Any], span: Span) -> Outcome:
            return self._one_by_one(rows, span, key)

        work = one_by_one if by_item else self._all_at_once
        return QuerySetSource(rows, key=key, work=work, is_todo=self.is_todo)

    def describe_source(self) -> str:
        """The model and the key."""
        return f"{self.get_queryset().model._meta.label} by {', '.join(self.key_fields)}"

    def _one_by_one(self, rows: QuerySet[Any], span: Span, key: Key) -> Outcome:
        items = list(rows)
        if len(rows.query.alias_map) > 1:
            # A join can give a row several times.
            items = list({item.pk: item for item in items}.values())
        # The work may change what an item holds: delete() takes its key off, and so does who makes a copy of it.
        keys = [key.values_of(item) for item in items]
        count, error = do_each(items, self.process_item, is_stopping=lambda: self.stopping)
        if error is not None:
            before = key.encode(keys[count - 1]) if count else span.low
            raise ItemError(before=before, key=key.encode(keys[count]), index=count) from error
        high = span.high if count == len(items) else key.encode(keys[count - 1])
        return Outcome(high=high, done_count=count, seen_count=count)

    def _all_at_once(self, rows: QuerySet[Any], span: Span) -> Outcome:
        count = self.process_batch(rows)
        if count is None:
            cached = rows._result_cache  # the rows, where the work has read them
            count = span.count if cached is None else len(cached)
        return Outcome(high=span.high, done_count=count)
