"""Lists the connections of the thread that runs commands, and cancels their running statements."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from typing import Any, Self

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

_LOGGER = logging.getLogger(__name__)


class KnownConnections:
    """Tracks all connections that this thread has opened; Django's own registry hides them from other threads."""

    def __init__(self) -> None:
        self._connections: dict[int, BaseDatabaseWrapper] = {}
        self._thread = threading.get_ident()
        for connection in connections.all(initialized_only=True):
            self._connections[id(connection)] = connection

    def __enter__(self) -> Self:
        connection_created.connect(self._note, weak=False, dispatch_uid=id(self))
        return self

    def __exit__(self, *error: object) -> None:
        connection_created.disconnect(dispatch_uid=id(self))

    def forget(self, connection: BaseDatabaseWrapper) -> None:
        """Have Django make a new object for the next use of this connection."""
        self._connections.pop(id(connection), None)
        if connections[connection.alias] is connection:
            del connections[connection.alias]

    def __iter__(self) -> Iterator[BaseDatabaseWrapper]:
        return iter(tuple(self._connections.values()))

    def _note(self, connection: BaseDatabaseWrapper, **kwargs: object) -> None:
        if threading.get_ident() == self._thread:
            self._connections[id(connection)] = connection

    def cancel_statements(self) -> int:
        """Cancel the running statements; return how many connections may have had one.

        An error is only logged, since the process is killed soon after.
        """
        opened = [connection for connection in self if connection.connection is not None]
        for connection in opened:
            try:
                _cancel(connection)
            except Exception:
                _LOGGER.exception("A statement on the database %s could not be cancelled", connection.alias)
        return len(opened)


def _cancel(connection: BaseDatabaseWrapper) -> None:
    raw: Any = connection.connection
    if connection.vendor == "sqlite":
        raw.interrupt()
    elif connection.vendor == "postgresql" and hasattr(raw, "cancel_safe"):
        raw.cancel_safe(timeout=1)
    elif connection.vendor == "postgresql":
        # psycopg before 3.2, and psycopg2, cancel without a timeout.
        raw.cancel()
    elif connection.vendor == "mysql":
        _kill_query(connection, raw.thread_id())


def _kill_query(connection: BaseDatabaseWrapper, thread_id: int) -> None:
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute(f"KILL QUERY {int(thread_id)}")
    finally:
        other.close()


def is_in_memory(alias: str) -> bool:
    """Return whether a database is in memory, so that no other process can see it."""
    database = connections.settings[alias]
    name = str(database.get("NAME") or "")
    is_sqlite = database["ENGINE"].endswith(("sqlite3", "spatialite"))
    return is_sqlite and (name == ":memory:" or "mode=memory" in name)
