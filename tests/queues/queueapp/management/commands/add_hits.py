"""Hits each item once, slowly, in batches."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import CommandParser
from django.db.models import F, QuerySet

from django_runbook.batch import BatchCommand
from tests.queues.queueapp.models import Item


class Command(BatchCommand):
    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--seconds", type=float, default=0.1, help="the time of each batch")

    def handle(self, *args: Any, **options: Any) -> None:
        self._seconds = options["seconds"]
        super().handle(*args, **options)

    def get_queryset(self) -> QuerySet[Item]:
        return Item._default_manager.all()

    def process_batch(self, items: QuerySet[Any]) -> None:
        items.update(hits=F("hits") + 1)
        time.sleep(self._seconds)
