"""Runs leased tasks one after the other; a lease is shorter than some of them."""

from __future__ import annotations

import datetime
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.utils import timezone
from django.utils.module_loading import import_string

from tests.queues.queueapp.models import LeasedTask

LEASE = datetime.timedelta(seconds=1)


class Command(BaseCommand):
    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--queue-name")

    def handle(self, *args: object, **options: Any) -> None:
        while True:
            now = timezone.now()
            free = LeasedTask._default_manager.filter(queue=options["queue_name"], leased_until__lte=now)
            task = free.order_by("pk").first()
            if task is None or not free.filter(pk=task.pk).update(leased_until=now + LEASE):
                time.sleep(0.05)
                continue
            self.stdout.write(f"delivered {task.arguments[0]}")
            self.stdout.flush()
            import_string(task.path).call(*task.arguments)
            task.delete()
