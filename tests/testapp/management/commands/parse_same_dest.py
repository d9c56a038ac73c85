"""Two options for one place."""

from __future__ import annotations

from argparse import ArgumentParser

from tests.testapp.parsing import ParsingCommand


class Command(ParsingCommand):
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", dest="style", action="store_const", const="json")
        parser.add_argument("--yaml", dest="style", action="store_const", const="yaml")
        parser.add_argument("--since", dest="start")
        parser.add_argument("--from", dest="start")
        parser.add_argument("--plain", dest="other_name", type=int)
