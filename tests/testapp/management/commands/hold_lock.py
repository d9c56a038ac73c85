"""Holds the lock of a given name until a file is there."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandParser

from django_runbook.batch.parts.locked_command import LockedCommand
from tests.patience import eventually


class Command(LockedCommand):
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("end", type=Path)

    def get_lock_name(self, **options: Any) -> str:
        return str(options["name"])

    def handle(self, *args: Any, **options: Any) -> None:
        eventually(options["end"].exists, pause_seconds=0.01)
        self.stdout.write("worked")
