"""Makes a database connection refuse writes, by means of the database itself."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

from django.core.management.base import CommandError
from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from django_runbook.batch.parts import sql

Restore = Callable[[BaseDatabaseWrapper], None]


@contextlib.contextmanager
def read_only(alias: str) -> Iterator[None]:
    """Make this thread's connection to a database refuse writes, even if it is reopened, and restore it afterwards.

    Connections of other threads are not changed.
    """
    vendor = connections[alias].vendor
    if vendor not in _REFUSE:
        raise CommandError(f'the database "{alias}" ({vendor}) cannot be made read-only by django-runbook')
    is_open_transaction = connections[alias].in_atomic_block
    if vendor == "postgresql" and (is_open_transaction or _is_pooled(connections[alias])):
        with _transaction(alias):
            yield
    elif vendor == "mysql" and is_open_transaction:
        raise CommandError(
            f'a transaction is open on the database "{alias}": '
            "a read-only command must start outside of it, because the database cannot make an open one read-only"
        )
    else:
        with _session(alias):
            yield


@contextlib.contextmanager
def _transaction(alias: str) -> Iterator[None]:
    # In an open transaction this is a savepoint: PostgreSQL makes it read-only alone and resets that at its end.
    with transaction.atomic(using=alias):
        sql.execute(connections[alias], "SET TRANSACTION READ ONLY")
        yield


def _is_pooled(connection: BaseDatabaseWrapper) -> bool:
    # A setting of a pooled connection would leak to its next user. A project that uses a pooler in transaction mode
    # must disable server-side cursors, so that setting identifies it.
    values = connection.settings_dict
    return bool(values.get("DISABLE_SERVER_SIDE_CURSORS") or values.get("OPTIONS", {}).get("pool"))


@contextlib.contextmanager
def _session(alias: str) -> Iterator[None]:
    restore: Restore = _nothing
    thread = threading.get_ident()

    def apply(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
        nonlocal restore
        if threading.get_ident() == thread and connection is connections[alias]:
            restore = _REFUSE[connection.vendor](connection)

    if connections[alias].connection is not None:
        apply(connections[alias])
    connection_created.connect(apply, weak=False)
    try:
        yield
    finally:
        connection_created.disconnect(apply)
        if connections[alias].connection is not None:
            restore(connections[alias])


def _nothing(connection: BaseDatabaseWrapper) -> None:
    """Restore nothing: there has been no connection yet."""


def _refuse_on_postgresql(connection: BaseDatabaseWrapper) -> Restore:
    before = sql.fetch_value(connection, "SHOW default_transaction_read_only")
    sql.execute(connection, "SET default_transaction_read_only = on")
    if not connection.get_autocommit():
        # With AUTOCOMMIT off a transaction is already open; rolling it back would undo the setting.
        connection.commit()

    def restore(connection: BaseDatabaseWrapper) -> None:
        # In a transaction that the command left open, a rollback would undo the setting.
        if connection.get_autocommit():
            with contextlib.suppress(DatabaseError):
                sql.execute(connection, f"SET default_transaction_read_only = {before}")
                return
        connection.close()

    return restore


def _refuse_on_mysql(connection: BaseDatabaseWrapper) -> Restore:
    # All versions of MariaDB have the first name; MySQL 8 has only the second.
    is_mariadb = bool(getattr(connection, "mysql_is_mariadb", False))
    before = sql.fetch_value(
        connection, f"SELECT @@SESSION.{'tx_read_only' if is_mariadb else 'transaction_read_only'}"
    )
    sql.execute(connection, "SET SESSION TRANSACTION READ ONLY")

    def restore(connection: BaseDatabaseWrapper) -> None:
        with contextlib.suppress(DatabaseError):
            sql.execute(connection, f"SET SESSION TRANSACTION READ {'ONLY' if before else 'WRITE'}")
            return
        connection.close()

    return restore


def _refuse_on_sqlite(connection: BaseDatabaseWrapper) -> Restore:
    before = sql.fetch_value(connection, "PRAGMA query_only")
    sql.execute(connection, "PRAGMA query_only = ON")
    # BEGIN IMMEDIATE takes the write lock, which query_only refuses; a reading transaction does not need it.
    wrapper: Any = connection
    mode, wrapper.transaction_mode = wrapper.transaction_mode, None

    def restore(connection: BaseDatabaseWrapper) -> None:
        wrapper: Any = connection
        wrapper.transaction_mode = mode
        # Through the driver: in a transaction marked for rollback, Django refuses every statement.
        with contextlib.suppress(wrapper.Database.Error):
            wrapper.connection.execute(f"PRAGMA query_only = {before:d}")
            return
        connection.close()

    return restore


_REFUSE: Final[dict[str, Callable[[BaseDatabaseWrapper], Restore]]] = {
    "postgresql": _refuse_on_postgresql,
    "mysql": _refuse_on_mysql,
    "sqlite": _refuse_on_sqlite,
}
