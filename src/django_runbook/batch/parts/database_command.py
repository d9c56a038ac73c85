"""A command that works on a database of the user's choice, and can refuse to write to it.

    class Command(DatabaseCommand):
        help = "Mail the figures of the day."
        read_only = True
        default_database = "replica"

        def handle(self, *args, **options):
            flights = Flight.objects.using(self.database).filter(day=date.today())
            self.stdout.write(f"{flights.count()} flights today")

``manage.py figures`` reads the replica, ``manage.py figures --database default`` the primary; it writes to neither.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from django_runbook.batch.parts.mixin import Part
from django_runbook.batch.parts.read_only import read_only
from django_runbook.document.diagnostics import nearest


class DatabaseCommand(Part):
    """A command with ``--database``, checked against the settings before anything runs.

    ``default_database`` is the alias where none is given. With ``read_only`` the connection to the chosen database
    refuses writes as long as the command runs, by the database's own means (PostgreSQL, MySQL and MariaDB, SQLite).
    Other aliases are left alone, and so are the connections of other threads.
    """

    read_only = False
    default_database = DEFAULT_DB_ALIAS

    _database: str | None = None

    @property
    def database(self) -> str:
        """The alias to work on, for ``using()``."""
        return self._database or self.default_database

    @property
    def connection(self) -> BaseDatabaseWrapper:
        """This thread's connection to it."""
        return connections[self.database]

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """The command's parser, with ``--database``."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        parser.add_argument(
            "--database",
            type=_alias,
            default=self.default_database,
            metavar="ALIAS",
            help=f'The database to work on. Default: "{self.default_database}".',
        )
        return parser

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Run the command on the chosen database."""
        alias = str(options.get("database") or self.default_database)
        if problem := _problem(alias):
            # call_command(name, database=…) passes the parser by.
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
    near = nearest(alias, known)
    hint = f'"{near}" is near' if near else f"there are: {', '.join(known)}"
    return f'DATABASES has no alias "{alias}"; {hint}'
