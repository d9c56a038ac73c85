"""Hits each item once, slowly, in batches."""

from __future__ import annotations

import time
from typing import Any

from django.db.models import F, QuerySet

from django_runbook.batch import BatchCommand
from tests.queues.queueapp.models import Item


class Command(BatchCommand):
    def get_queryset(self) -> QuerySet[Item]:
        return Item._default_manager.all()

    def process_batch(self, items: QuerySet[Any]) -> None:
        items.update(hits=F("hits") + 1)
        time.sleep(0.1)
