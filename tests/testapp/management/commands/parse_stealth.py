"""Has options that no command line can set."""

from __future__ import annotations

from argparse import ArgumentParser

from tests.testapp.parsing import ParsingCommand


class Command(ParsingCommand):
    stealth_options = ("hidden", "stopping")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--shown")
