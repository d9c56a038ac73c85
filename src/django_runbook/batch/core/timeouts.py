"""Limits on waiting that a transaction sets in the database, each engine by its own means."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper

from django_runbook.batch.parts import sql as statements


def limit_idle(connection: BaseDatabaseWrapper, seconds: float) -> None:
    """Have the server end this transaction when its client says nothing for so long.

    A process that was stopped inside a batch would hold the row of its checkpoint for ever, and with it whoever wants
    to take over. SQLite has no server, and MySQL no such limit.
    """
    if connection.vendor == "postgresql":
        statements.run(connection, f"SET LOCAL idle_in_transaction_session_timeout = {max(1, int(seconds * 1000))}")
    elif _is_mariadb(connection):
        # There is none for a transaction; unlimit_idle puts the session's back.
        statements.run(connection, f"SET SESSION idle_transaction_timeout = {max(1, int(seconds))}")


def is_idle_limited(connection: BaseDatabaseWrapper) -> bool:
    """Whether there is such a limit."""
    return connection.vendor == "postgresql" or _is_mariadb(connection)


def unlimit_idle(connection: BaseDatabaseWrapper) -> None:
    """Take back what outlives the transactions."""
    if _is_mariadb(connection) and connection.connection is not None and not connection.in_atomic_block:
        # A connection that is broken has nothing left to take back.
        with contextlib.suppress(DatabaseError):
            statements.run(connection, "SET SESSION idle_transaction_timeout = DEFAULT")


@contextlib.contextmanager
def limited_wait(connection: BaseDatabaseWrapper, seconds: int) -> Iterator[None]:
    """In a transaction: wait no longer than this for a row that another one holds; SQLite's own timeout is left."""
    if connection.vendor == "postgresql":
        before = statements.ask(connection, "SHOW lock_timeout")
        statements.run(connection, f"SET LOCAL lock_timeout = {seconds * 1000}")
        yield
        # An error takes it back with the transaction, or the savepoint.
        statements.run(connection, f"SET LOCAL lock_timeout = '{before}'")
    elif connection.vendor == "mysql":
        before = statements.ask(connection, "SELECT @@SESSION.innodb_lock_wait_timeout")
        statements.run(connection, f"SET SESSION innodb_lock_wait_timeout = {seconds}")
        try:
            yield
        finally:
            with contextlib.suppress(DatabaseError):
                statements.run(connection, f"SET SESSION innodb_lock_wait_timeout = {before}")
    else:
        yield


def _is_mariadb(connection: BaseDatabaseWrapper) -> bool:
    return connection.vendor == "mysql" and bool(getattr(connection, "mysql_is_mariadb", False))
