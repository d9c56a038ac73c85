"""Has long names after one dash."""

from __future__ import annotations

from argparse import ArgumentParser

from tests.testapp.parsing import ParsingCommand


class Command(ParsingCommand):
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("-name")
        parser.add_argument("-n", type=int)
        parser.add_argument("-flag", action="store_true")
