"""Computes something for each item, which takes processor time and no other."""

from __future__ import annotations

import hashlib

from django.db.models import QuerySet

from django_runbook.batch import BatchCommand
from tests.queues.queueapp.models import Item

ROUNDS = 30_000


class Command(BatchCommand):
    help = "Hash each item many times."

    def get_queryset(self) -> QuerySet[Item]:
        return Item._default_manager.all()

    def process_item(self, item: Item) -> None:
        digest = str(item.pk).encode()
        for _ in range(ROUNDS):
            digest = hashlib.sha256(digest).digest()
