"""Counts each row once more, in batches."""

from __future__ import annotations

import time
from typing import Any

from django.db.models import F, QuerySet

from django_runbook.batch import BatchCommand
from tests.testapp.models import Row


class Command(BatchCommand):
    batch_size = 4

    def get_queryset(self) -> QuerySet[Row]:
        return Row.objects.all()

    def process_batch(self, rows: QuerySet[Any]) -> None:
        rows.update(count=F("count") + 1)
        time.sleep(0.005)
