"""Options with types and choices."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import date

from tests.testapp.parsing import ParsingCommand


class Command(ParsingCommand):
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--count", type=int, default=3)
        parser.add_argument("--ratio", type=float)
        parser.add_argument("--day", type=date.fromisoformat)
        parser.add_argument("--mode", choices=["full", "delta"], default="delta")
        parser.add_argument("--level", type=int, choices=[1, 2, 3])
