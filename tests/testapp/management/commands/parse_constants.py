"""Flags of every kind."""

from __future__ import annotations

from argparse import ArgumentParser, BooleanOptionalAction

from tests.testapp.parsing import ParsingCommand


class Command(ParsingCommand):
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--fast", dest="speed", action="store_const", const=42, default=1)
        parser.add_argument("--slow", dest="speed", action="store_const", const=7)
        parser.add_argument("--tag", action="append")
        parser.add_argument("--with-x", dest="parts", action="append_const", const="X")
        parser.add_argument("--with-y", dest="parts", action="append_const", const="Y")
        parser.add_argument("-q", "--quiet", action="count", default=0)
        parser.add_argument("--more", action="extend", nargs="+")
        parser.add_argument("--no-input", "--noinput", dest="interactive", action="store_false")
        parser.add_argument("--reload", action=BooleanOptionalAction, default=None)
