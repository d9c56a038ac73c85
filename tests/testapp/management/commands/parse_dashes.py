"""Values that begin with a dash."""

from __future__ import annotations

from argparse import ArgumentParser

from tests.testapp.parsing import ParsingCommand


class Command(ParsingCommand):
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("numbers", nargs="*", type=int)
        parser.add_argument("--offset", type=int)
        parser.add_argument("--pattern")
        parser.add_argument("-x", "--extra")
        parser.add_argument("--several", nargs="+")
