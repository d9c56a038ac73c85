"""Leaves a trace each time that it is called: a line in a file, and a row in the database if asked to."""

from __future__ import annotations

import time
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from tests.patience import eventually
from tests.testapp.models import Mark


def wait_for(path: Path) -> None:
    """Wait until the file is there; fail if it does not come."""
    if not eventually(path.exists, pause_seconds=0.01):
        raise CommandError(f"{path} never came")


class Command(BaseCommand):
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--log", type=Path, required=True)
        parser.add_argument("--pause", type=float, default=0.0, help="Between the two halves of the effect.")
        parser.add_argument("--until", type=Path, help="Wait there until this file is there.")
        parser.add_argument("--fail-until", type=int, default=0, help="Fail before this call.")
        parser.add_argument("--fail-if", type=Path, help="Fail where this file is there.")
        parser.add_argument("--mark", action="store_true", help="Insert a row too.")
        parser.add_argument("--output", default="")

    def handle(self, *args: Any, **options: Any) -> None:
        name, log = options["name"], options["log"]
        self.say(log, f"begin {name}")
        if options["mark"]:
            Mark.objects.create(name=name)
        time.sleep(options["pause"])
        if options["until"]:
            wait_for(options["until"])
        if log.read_text().count(f"begin {name}\n") < options["fail_until"]:
            raise CommandError(f"{name} is not ready")
        if options["fail_if"] and options["fail_if"].exists():
            raise CommandError(f"{name} failed")
        if options["output"]:
            self.stdout.write(options["output"])
        self.say(log, f"end {name}")

    def say(self, log: Path, text: str) -> None:
        with log.open("a") as file:
            file.write(text + "\n")
