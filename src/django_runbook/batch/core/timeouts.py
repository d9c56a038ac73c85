"""Sets idle and lock timeouts in the database, with the statements of each engine."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from django_runbook.batch.parts import sql


def set_idle_timeout(connection: BaseDatabaseWrapper, seconds: float) -> None:
    """Let the server end this transaction when it is idle for ``seconds``.

    A process suspended inside a batch would otherwise hold the row of its checkpoint forever, and block every takeover.
    SQLite has no server, and MySQL has no such timeout.
    """
    if connection.vendor == "postgresql":
        sql.execute(connection, f"SET LOCAL idle_in_transaction_session_timeout = {max(1, int(seconds * 1000))}")
    elif _is_mariadb(connection):
        # MariaDB has no timeout per transaction; reset_idle_timeout restores that of the session.
        sql.execute(connection, f"SET SESSION idle_transaction_timeout = {max(1, int(seconds))}")


def has_idle_timeout(connection: BaseDatabaseWrapper) -> bool:
    """Return whether the engine has an idle timeout."""
    return connection.vendor == "postgresql" or _is_mariadb(connection)


def reset_idle_timeout(connection: BaseDatabaseWrapper) -> None:
    """Reset the timeout that outlives the transactions."""
    if _is_mariadb(connection) and connection.connection is not None and not connection.in_atomic_block:
        # A broken connection has nothing to reset.
        with contextlib.suppress(DatabaseError):
            sql.execute(connection, "SET SESSION idle_transaction_timeout = DEFAULT")


@contextlib.contextmanager
def row_lock_timeout(connection: BaseDatabaseWrapper, seconds: int) -> Iterator[None]:
    """Limit how long statements of a transaction wait for row locks; SQLite keeps its own timeout."""
    if connection.vendor == "postgresql":
        before = sql.fetch_value(connection, "SHOW lock_timeout")
        sql.execute(connection, f"SET LOCAL lock_timeout = {seconds * 1000}")
        yield
        # An error resets it together with the transaction or savepoint.
        sql.execute(connection, f"SET LOCAL lock_timeout = '{before}'")
    elif connection.vendor == "mysql":
        before = sql.fetch_value(connection, "SELECT @@SESSION.innodb_lock_wait_timeout")
        sql.execute(connection, f"SET SESSION innodb_lock_wait_timeout = {seconds}")
        try:
            yield
        finally:
            with contextlib.suppress(DatabaseError):
                sql.execute(connection, f"SET SESSION innodb_lock_wait_timeout = {before}")
    else:
        yield


def _is_mariadb(connection: BaseDatabaseWrapper) -> bool:
    return connection.vendor == "mysql" and bool(getattr(connection, "mysql_is_mariadb", False))
