"""Lets the user choose the database of a command, and can make it read-only.

    class Command(DatabaseCommand):
        help = "Print the figures of the day."
        read_only = True
        default_database = "replica"

        def handle(self, *args, **options):
            flights = Flight.objects.using(self.database).filter(day=date.today())
            self.stdout.write(f"{flights.count()} flights today")

``manage.py figures`` reads the replica, and ``manage.py figures --database default`` the primary. Neither writes.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import Any, ClassVar

from django.core.management.base import CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from django_runbook.batch.parts.mixin import CommandMixin
from django_runbook.batch.parts.read_only import read_only
from django_runbook.document.similar_names import suggestion
from django_runbook.wording import choose_from


class DatabaseCommand(CommandMixin):
    """Adds ``--database``, which is checked against the settings before anything runs.

    ``default_database`` is the default alias. With ``read_only``, the connection to the chosen database refuses writes
    while the command runs, by means of the database itself (PostgreSQL, MySQL, MariaDB, SQLite). Other aliases and the
    connections of other threads are not changed.
    """

    # The identity of a batch command's work has the database anyway.
    cursor_free_options: ClassVar[tuple[str, ...]] = ("database",)
    read_only = False
    default_database = DEFAULT_DB_ALIAS

    _database: str | None = None

    @property
    def database(self) -> str:
        """Return the chosen alias, for ``using()``."""
        return self._database or self.default_database

    @property
    def connection(self) -> BaseDatabaseWrapper:
        """Return this thread's connection to the chosen database."""
        return connections[self.database]

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Create the parser of the command and add ``--database``."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.add_argument(
            "--database",
            type=_alias,
            default=self.default_database,
            metavar="ALIAS",
            help=f"Use the database ALIAS. Default: {self.default_database}.",
        )
        return parser

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command on the chosen database."""
        alias = str(options.get("database") or self.default_database)
        if problem := _problem(alias):
            # call_command(name, database=…) bypasses the parser.
            raise CommandError(problem)
        self._database = alias
        try:
            if not self.read_only:
                return super().execute(*args, **options)
            with read_only(alias):
                return super().execute(*args, **options)
        finally:
            self._database = None


def _alias(text: str) -> str:
    if problem := _problem(text):
        raise ArgumentTypeError(problem)
    return text


def _problem(alias: str) -> str:
    known = list(connections)
    if alias in known:
        return ""
    hint = suggestion(alias, known) or choose_from(known)
    return f'DATABASES has no alias "{alias}"; {hint}'
