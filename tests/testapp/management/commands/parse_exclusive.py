"""Two exclusive groups, one of them required."""

from __future__ import annotations

from argparse import ArgumentParser

from tests.testapp.parsing import ParsingCommand


class Command(ParsingCommand):
    def add_arguments(self, parser: ArgumentParser) -> None:
        group = parser.add_mutually_exclusive_group()
        group.add_argument("--one", type=int)
        group.add_argument("--two", type=int)
        required = parser.add_mutually_exclusive_group()
        required.add_argument("--red", action="store_true")
        required.add_argument("--blue", action="store_true")
