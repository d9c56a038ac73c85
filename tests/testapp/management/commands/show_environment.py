"""Prints environment variables, and what the process was started with."""

from __future__ import annotations

import os
import sys
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="*")

    def handle(self, *args: Any, **options: Any) -> None:
        for name in options["names"]:
            self.stdout.write(f"{name}={os.environ[name]}" if name in os.environ else f"{name} is not set")
        self.stdout.write(f"settings {getattr(settings, 'CHOSEN', 'of the run')}, argv {sys.argv[1:]}")
