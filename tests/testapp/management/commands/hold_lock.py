"""Holds the lock of a given name until a file is there."""

import time
from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from django_runbook.batch.parts.locked_command import LockedCommand


class Command(LockedCommand):
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("end", type=Path)

    def get_lock_name(self, **options: Any) -> str:
        return str(options["name"])

    def handle(self, *args: Any, **options: Any) -> None:
        deadline = time.monotonic() + 20
        while not options["end"].exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        self.stdout.write("worked")
