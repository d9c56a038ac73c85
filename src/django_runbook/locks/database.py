"""Keeps locks in a database, shared by all processes that use it, on any host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from django.core import checks
from django.db import DEFAULT_DB_ALIAS, connections
from django.utils.module_loading import import_string

from django_runbook.exceptions import InvalidUsage
from django_runbook.locks.base import Lock

# By vendor. Only a run that uses such a lock imports its module.
_KINDS: Final = {
    "postgresql": "django_runbook.locks.postgresql.PostgreSQLLock",
    "mysql": "django_runbook.locks.mysql.MySQLLock",
}


class DatabaseLocks:
    """Makes locks that each use a connection of their own while they are held.

    On PostgreSQL, a lock works through PgBouncer in any pool mode, and occupies one of its server connections.
    """

    def __init__(self, *, what: str = "", alias: object = DEFAULT_DB_ALIAS) -> None:
        if not isinstance(alias, str) or alias not in connections.settings:
            known = ", ".join(connections.settings)
            raise InvalidUsage(f'the option "alias" of the database locks is not in DATABASES, which has: {known}')
        if not is_supported(alias):
            raise InvalidUsage(
                f'the database "{alias}" ({connections[alias].display_name}) has no named locks: keep them in '
                'PostgreSQL, MySQL or MariaDB, or set RUNBOOK["LOCK"] to "file"'
            )
        self._alias = alias
        self._what = what

    def __call__(self, name: str) -> Lock:
        lock: Lock = import_string(_KINDS[connections[self._alias].vendor])(name, alias=self._alias, what=self._what)
        return lock

    @property
    def identity(self) -> str:
        """Identify these locks, without the address of the database, which differs between hosts."""
        name = connections.settings[self._alias].get("NAME")
        return f"database {self._alias}: {connections[self._alias].vendor} {name}"

    def check(self) -> Sequence[checks.CheckMessage]:
        """Check the settings of these locks."""
        database = connections.settings[self._alias]
        if connections[self._alias].vendor != "postgresql" or not database.get("DISABLE_SERVER_SIDE_CURSORS"):
            return []
        message = (
            f'The database "{self._alias}" seems to use a transaction pooler (DISABLE_SERVER_SIDE_CURSORS): '
            "runbook locks hold through it, and each held lock keeps one of its connections to the server."
        )
        hint = "Let the pool be larger than the number of locks that are held at the same time."
        return [checks.Info(message, hint=hint, id="django_runbook.I001")]


def is_supported(alias: str) -> bool:
    """Return whether this kind of database supports locks."""
    return connections[alias].vendor in _KINDS
