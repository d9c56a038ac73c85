"""Keep locks in a database, shared by all processes that work on it, from whatever host."""

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
    """Makes locks that are one open connection each while they are held, beside those that the work itself uses.

    On PostgreSQL a lock also holds through PgBouncer, however that pools, and takes one of its server connections.
    """

    def __init__(self, *, what: str = "", alias: object = DEFAULT_DB_ALIAS) -> None:
        if not isinstance(alias, str) or alias not in connections.settings:
            known = ", ".join(connections.settings)
            raise InvalidUsage(f'the option "alias" of the database locks is not in DATABASES, which has: {known}')
        if not is_supported(alias):
            raise InvalidUsage(
                f'the database "{alias}" ({connections[alias].display_name}) has no locks, which PostgreSQL, MySQL and '
                'MariaDB have; RUNBOOK["LOCK"] can be "file" instead'
            )
        self._alias = alias
        self._what = what

    def __call__(self, name: str) -> Lock:
        return _KINDS[connections[self._alias].vendor](name, alias=self._alias, what=self._what)

    @property
    def identity(self) -> str:
        """Tell these locks apart from others. Without the way to the database: hosts reach it by different ones."""
        name = connections.settings[self._alias].get("NAME")
        return f"database {self._alias}: {connections[self._alias].vendor} {name}"

    def check(self) -> Sequence[checks.CheckMessage]:
        """Return what a project should know about these locks."""
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
    """Return whether this database has locks."""
    return connections[alias].vendor in _KINDS
