"""Tells how far it is, and writes what the journal has of that."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from django_runbook.models import StepRun


class Command(BaseCommand):
    stealth_options = ("progress",)

    def handle(self, *args: Any, **options: Any) -> None:
        tell = options["progress"]
        tell(1, 10, 0)
        self.stdout.write(_seen())
        with transaction.atomic():
            tell(2, 10, 0)
            self.stdout.write(f"in a transaction: {_seen()}")
        tell(3, 10, 0)
        self.stdout.write(_seen())


def _seen() -> str:
    row = StepRun.objects.get(step_id="seen")
    return f"{row.done_count} of {row.total_count}"
