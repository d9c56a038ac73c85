"""The database of a command is the one that its parser would read."""

from __future__ import annotations

import pytest
from django.core.management import BaseCommand

from django_runbook.binding.database_option import database_of


@pytest.mark.parametrize(
    "tokens",
    [
        [],
        ["--database", "replica"],
        ["--database=replica"],
        ["--database", "other", "--database=replica"],
        ["--database=other", "--verbosity", "2", "--database", "replica"],
        ["--database=", "--verbosity=2"],
        ["--verbosity", "2", "flights"],
    ],
)
def test_the_last_database_counts_as_for_the_parser_of_the_command(tokens: list[str]) -> None:
    parser = BaseCommand().create_parser("manage.py", "own")
    parser.add_argument("--database", default="default")
    parser.add_argument("label", nargs="?")
    assert database_of(tokens) == parser.parse_args(tokens).database
