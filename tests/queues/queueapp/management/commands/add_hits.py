"""Hits each item once, slowly, in batches."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import F, QuerySet

from django_runbook.batch import BatchCommand
from tests.patience import PATIENCE_SECONDS, eventually
from tests.queues.queueapp.models import Effect, Item


class Command(BatchCommand):
    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--seconds", type=float, default=0.1, help="the time of each batch")
        parser.add_argument("--until", default="", help="the effect, or else the stop, that ends the second batch")

    def handle(self, *args: Any, **options: Any) -> None:
        self._seconds, self._until, self._batch_count = options["seconds"], options["until"], 0
        super().handle(*args, **options)

    def get_queryset(self) -> QuerySet[Item]:
        return Item._default_manager.all()

    def process_batch(self, items: QuerySet[Any]) -> None:
        items.update(hits=F("hits") + 1)
        time.sleep(self._seconds)
        self._batch_count += 1
        if self._until and self._batch_count == 2:
            eventually(self._may_end, within=2 * PATIENCE_SECONDS)

    def _may_end(self) -> bool:
        return self.stopping or Effect._default_manager.filter(name=self._until).exists()
