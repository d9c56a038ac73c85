"""Sub-commands, nested, with options before and after."""

from __future__ import annotations

from argparse import ArgumentParser

from tests.testapp.parsing import ParsingCommand


class Command(ParsingCommand):
    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--root")
        commands = parser.add_subparsers(dest="command", required=True)
        importing = commands.add_parser("import", aliases=["in"])
        importing.add_argument("path")
        importing.add_argument("--limit", type=int)
        importing.add_argument("--skip", nargs="+")
        exporting = commands.add_parser("export")
        exporting.add_argument("--output", required=True)
        kinds = exporting.add_subparsers(dest="kind")
        csv = kinds.add_parser("csv")
        csv.add_argument("--separator", default=",")
        csv.add_argument("columns", nargs="*")
