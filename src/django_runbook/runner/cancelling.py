"""A statement that a command waits for to its end: each database is asked by the means that it has."""

from __future__ import annotations

import logging
import threading
import weakref
from typing import Any

from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

_LOGGER = logging.getLogger(__name__)


class StatementCanceller:
    """Knows the connections of the thread that runs commands; Django's own registry is closed to other threads."""

    def __init__(self) -> None:
        self._connections: weakref.WeakSet[Any] = weakref.WeakSet()
        self._thread = threading.get_ident()

    def start(self) -> None:
        self._thread = threading.get_ident()
        connection_created.connect(self._note, weak=False, dispatch_uid=id(self))

    def finish(self) -> None:
        connection_created.disconnect(self._note, dispatch_uid=id(self))

    def watch(self) -> None:
        """Take note of the connections that are there already."""
        for connection in connections.all(initialized_only=True):
            self._connections.add(connection)

    def _note(self, connection: BaseDatabaseWrapper, **kwargs: object) -> None:
        if threading.get_ident() == self._thread:
            self._connections.add(connection)

    def cancel(self) -> None:
        """End the statements that run now; a failure is logged, since the process ends by force soon after."""
        for connection in list(self._connections):
            try:
                _cancel(connection)
            except Exception:
                _LOGGER.exception("A statement on the database %s could not be cancelled", connection.alias)


def _cancel(connection: BaseDatabaseWrapper) -> None:
    raw: Any = connection.connection
    if raw is None:
        return
    if connection.vendor == "sqlite":
        raw.interrupt()
    elif connection.vendor == "postgresql":
        # psycopg 3.2 and later; before that, and in psycopg2, cancel() does the same without a time limit.
        raw.cancel_safe(timeout=1) if hasattr(raw, "cancel_safe") else raw.cancel()
    elif connection.vendor == "mysql":
        _kill_query(connection, raw.thread_id())


def _kill_query(connection: BaseDatabaseWrapper, thread_id: int) -> None:
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute(f"KILL QUERY {int(thread_id)}")
    finally:
        other.close()
