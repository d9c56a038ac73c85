"""Options and positionals that open files."""

from __future__ import annotations

from argparse import ArgumentParser, FileType

from tests.testapp.parsing import ParsingCommand


class Command(ParsingCommand):
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("source", type=FileType("r"), nargs="?")
        parser.add_argument("--output", type=FileType("w"))
        parser.add_argument("--log", type=open)
