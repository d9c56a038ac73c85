"""Reads a word of its command line by itself, and leaves the rest to Django."""

from __future__ import annotations

from argparse import ArgumentParser

from tests.testapp.parsing import ParsingCommand


class Command(ParsingCommand):
    tenant = ""

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("names", nargs="*")
        parser.add_argument("--tenant", default=self.tenant)
        parser.add_argument("--live", action="store_true", default=True)
        parser.add_argument("--no-live", action="store_false", dest="live")

    def run_from_argv(self, argv: list[str]) -> None:
        self.tenant = argv[2]
        super().run_from_argv([*argv[:2], *argv[3:]])
