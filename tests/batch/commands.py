"""Batch commands of the tests; none of them has an effect that may happen twice."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from collections.abc import Callable

from django.db.models import F, QuerySet

from django_runbook.batch import BatchCommand
from tests.batchapp.models import Item, Ledger


class CountItems(BatchCommand):
    """Counts each item up, and writes it into the ledger; ``pause`` is slept in each, ``look`` is called with each."""

    pause_seconds = 0.0

    def __init__(self, look: Callable[[Item], object] = lambda item: None) -> None:
        super().__init__()
        self.look = look

    def get_queryset(self) -> QuerySet[Item]:
        return Item.objects.all()

    def process_item(self, item: Item) -> None:
        self.look(item)
        if self.pause_seconds:
            time.sleep(self.pause_seconds)
        item.count = F("count") + 1
        item.save(update_fields=["count"])
        Ledger.objects.using(self.database).create(item_key=str(item.pk))


class CountBatches(CountItems):
    """The same, a batch at a time."""

    def process_batch(self, rows: QuerySet[Item]) -> int | None:
        for item in rows:
            self.look(item)
        Ledger.objects.using(self.database).bulk_create([Ledger(item_key=str(item.pk)) for item in rows])
        rows.update(count=F("count") + 1)
        return None


class MarkItems(CountItems):
    """Does what is not done yet: items leave its queryset."""

    is_todo = True

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--value")

    def get_queryset(self) -> QuerySet[Item]:
        items = Item.objects.filter(is_done=False)
        return items.filter(value=self.options["value"]) if self.options["value"] else items

    def process_item(self, item: Item) -> None:
        super().process_item(item)
        Item.objects.using(self.database).filter(pk=item.pk).update(is_done=True)
