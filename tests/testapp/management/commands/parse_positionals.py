"""Required, optional and repeated positionals."""

from __future__ import annotations

from argparse import ArgumentParser

from tests.testapp.parsing import ParsingCommand


class Command(ParsingCommand):
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("first")
        parser.add_argument("count", type=int)
        parser.add_argument("rest", nargs="*")
