"""All that follows goes to one positional."""

from __future__ import annotations

from argparse import REMAINDER, ArgumentParser

from tests.testapp.parsing import ParsingCommand


class Command(ParsingCommand):
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("program")
        parser.add_argument("rest", nargs=REMAINDER)
        parser.add_argument("--quick", action="store_true")
