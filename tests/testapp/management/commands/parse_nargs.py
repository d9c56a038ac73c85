"""Options with several values."""

from __future__ import annotations

from argparse import ArgumentParser

from tests.testapp.parsing import ParsingCommand


class Command(ParsingCommand):
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("names", nargs="*")
        parser.add_argument("--pair", nargs=2, type=int)
        parser.add_argument("--some", nargs="+")
        parser.add_argument("--any", nargs="*")
        parser.add_argument("--maybe", nargs="?", const="const", default="default")
