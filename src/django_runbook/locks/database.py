"""The backend ``database``: locks that all processes share which work on one database, from whatever host."""

from __future__ import annotations

from collections.abc import Sequence

from django.core import checks
from django.db import DEFAULT_DB_ALIAS, connections

from django_runbook.exceptions import InvalidUsage
from django_runbook.locks.base import Lock
from django_runbook.locks.mysql import MySQLLock
from django_runbook.locks.postgresql import PostgreSQLLock

_KINDS: dict[str, type[PostgreSQLLock | MySQLLock]] = {"postgresql": PostgreSQLLock, "mysql": MySQLLock}


class DatabaseLocks:
    """Each held lock is one open connection, beside those that the work itself uses.

    On PostgreSQL it also holds through PgBouncer, however that pools, where it takes one connection to the server.
    """

    def __init__(self, *, what: str = "", alias: object = DEFAULT_DB_ALIAS) -> None:
        if not isinstance(alias, str) or alias not in connections.settings:
            known = ", ".join(connections.settings)
            raise InvalidUsage(f'the option "alias" of the database locks is no alias of DATABASES; there are: {known}')
        if not is_supported(alias):
            raise InvalidUsage(
                f'the database "{alias}" ({connections[alias].display_name}) has no locks, which PostgreSQL, MySQL and '
                'MariaDB have; RUNBOOK["LOCK"] can be "file" instead'
            )
        self._alias = alias
        self._what = what

    def __call__(self, name: str) -> Lock:
        return _KINDS[connections[self._alias].vendor](name, alias=self._alias, what=self._what)

    def check(self) -> Sequence[checks.CheckMessage]:
        """What a project should know about these locks."""
        database = connections.settings[self._alias]
        if connections[self._alias].vendor != "postgresql" or not database.get("DISABLE_SERVER_SIDE_CURSORS"):
            return []
        message = (
            f'The database "{self._alias}" seems to be behind a transaction pooler (DISABLE_SERVER_SIDE_CURSORS): '
            "runbook locks hold through it, and each held lock keeps one of its connections to the server."
        )
        hint = "Let the pool be larger than the number of locks that are held at the same time."
        return [checks.Info(message, hint=hint, id="django_runbook.I001")]


def is_supported(alias: str) -> bool:
    """Whether this database has locks."""
    return connections[alias].vendor in _KINDS
