"""Requires one option of a group."""

from __future__ import annotations

from argparse import ArgumentParser

from tests.testapp.parsing import ParsingCommand


class Command(ParsingCommand):
    def add_arguments(self, parser: ArgumentParser) -> None:
        group = parser.add_mutually_exclusive_group(required=True)
        group.add_argument("--here", action="store_true")
        group.add_argument("--there")
