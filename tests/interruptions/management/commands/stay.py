"""Stays at work until a file is there, and writes when it began and ended."""

from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tests.interruptions.apps import wait_for


class Command(BaseCommand):
    requires_system_checks = ()

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--until", help="Wait until this file is there.")
        parser.add_argument("--fail-unless", help="Fail unless this file is there.")

    def handle(self, *args: Any, **options: Any) -> None:
        self._note(f"begin {options['name']} {os.getpid()}")
        if options["until"]:
            wait_for(options["until"])
        if options["fail_unless"] and not Path(options["fail_unless"]).exists():
            raise CommandError(f"{options['fail_unless']} is not there")
        self._note(f"end {options['name']}")

    def _note(self, text: str) -> None:
        with Path("log").open("a") as file:
            file.write(text + "\n")
