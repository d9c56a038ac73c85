"""Options that must be given."""

from __future__ import annotations

from argparse import ArgumentParser, BooleanOptionalAction

from tests.testapp.parsing import ParsingCommand


class Command(ParsingCommand):
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--name", required=True)
        parser.add_argument("--number", dest="num", type=int, required=True)
        parser.add_argument("--flag", action=BooleanOptionalAction, required=True)
