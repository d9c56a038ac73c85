"""Prints a line, and ends once the history has it."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_runbook.models import StepRun
from tests.patience import PATIENCE_SECONDS


class Command(BaseCommand):
    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write("a first line")
        deadline = time.monotonic() + PATIENCE_SECONDS
        while StepRun.objects.get(step_id="it").output_head != "a first line":
            if time.monotonic() > deadline:
                raise CommandError("the history does not have the line")
            time.sleep(0.05)
        self.stdout.write("a last line")
