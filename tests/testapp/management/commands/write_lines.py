"""Writes many lines of the same length."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand


class Command(BaseCommand):
    help = "Write lines."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("count", type=int)
        parser.add_argument("width", type=int)

    def handle(self, *args: Any, **options: Any) -> None:
        for number in range(options["count"]):
            self.stdout.write(f"{number:08} ".ljust(options["width"], "x"))
