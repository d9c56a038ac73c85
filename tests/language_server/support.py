"""Asks about a place in the text of a runbook, which is marked with ¦, as the server does."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from django.db import OperationalError

from django_runbook.binding.catalog import Catalog
from django_runbook.language_server.cursor.editor_text import EditorText
from django_runbook.language_server.features.questions import Question
from django_runbook.language_server.workspace.project import Project
from tests.editor.support import FixedCatalog, command_of

CURSOR: Final = "¦"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", help="The file to read.")
    parser.add_argument("--format", choices=["csv", "jsonl"], default="csv", help="Read this format.")
    parser.add_argument("--batch-size", type=int, default=500, metavar="N", help="Write N rows per transaction.")
    parser.add_argument("--update", action="store_true", help="Update known flights.")
    parser.add_argument("--only", nargs="+", choices=["EWR", "JFK", "La Guardia"], help="Import these airports.")
    parser.add_argument("--database", default="default", help="Write to this database.")
    parser.add_argument("--old", help=argparse.SUPPRESS)


def add_sub_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="what")
    full = commands.add_parser("full", description="Count all.")
    full.add_argument("--by", choices=["day", "month"], help="Group by this.")
    commands.add_parser("delta")


def read_database(text: str) -> str:
    raise OperationalError("the database is down")


COMMANDS: Final = {
    "assign": command_of(lambda parser: parser.add_argument("--owner", type=read_database, choices=["ann", "bob"])),
    "import_flights": command_of(add_arguments, help="Import flights."),
    "count_flights": command_of(add_sub_commands, help="Count flights."),
    "noop": command_of(lambda parser: None),
}


def project(catalog: Catalog | None = None) -> Project:
    """Return a project with three commands, or with those of a catalog."""
    return Project(
        catalog=catalog or FixedCatalog(COMMANDS),
        databases=("default", "replica"),
        list_runbooks=lambda path: ("weekly.yml", "archive/monthly.yml"),
        values={"notify": lambda: ["oncall", "monitor"]},
    )


def ask(text: str, *, about: Project | None = None, path: Path = Path("nightly.yml")) -> Question:
    """Ask about the place of the cursor in a text."""
    offset = text.index(CURSOR)
    return Question(
        text=EditorText(text=text.replace(CURSOR, "", 1)), offset=offset, path=path, project=about or project()
    )
