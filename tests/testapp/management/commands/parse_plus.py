"""One positional or more."""

from __future__ import annotations

from argparse import ArgumentParser

from tests.testapp.parsing import ParsingCommand


class Command(ParsingCommand):
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("names", nargs="+")
        parser.add_argument("--size", type=int, default=1)
