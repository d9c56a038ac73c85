"""A database alias to one that refuses writes for a while, by the database's own means."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

from django.core.management.base import CommandError
from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from django_runbook.batch.parts import sql as statements

Restore = Callable[[BaseDatabaseWrapper], None]


@contextlib.contextmanager
def read_only(alias: str) -> Iterator[None]:
    """Make this thread's connection to a database refuse writes, also one that is opened meanwhile in its place.

    It ends as it was. Connections of other threads are left alone: they may belong to somebody else.
    """
    vendor = connections[alias].vendor
    if vendor not in _REFUSE:
        raise CommandError(f'the database "{alias}" ({vendor}) has no way to refuse writes that is known here')
    is_open_transaction = connections[alias].in_atomic_block
    if vendor == "postgresql" and (is_open_transaction or _is_pooled(connections[alias])):
        with _transaction(alias):
            yield
    elif vendor == "mysql" and is_open_transaction:
        raise CommandError(
            f'a transaction is open on the database "{alias}": '
            "a read-only command must begin before it, as the database cannot refuse writes from here on"
        )
    else:
        with _session(alias):
            yield


@contextlib.contextmanager
def _transaction(alias: str) -> Iterator[None]:
    # A savepoint where a transaction is open: PostgreSQL makes it read-only by itself and drops that with it.
    with transaction.atomic(using=alias):
        statements.run(connections[alias], "SET TRANSACTION READ ONLY")
        yield


def _is_pooled(connection: BaseDatabaseWrapper) -> bool:
    # What is set on a pooled connection reaches whoever gets it next. Behind a pooler in transaction mode a project
    # must disable server-side cursors, which is how it can be told.
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
    """Before the first connection there is nothing to restore."""


def _refuse_on_postgresql(connection: BaseDatabaseWrapper) -> Restore:
    before = statements.ask(connection, "SHOW default_transaction_read_only")
    statements.run(connection, "SET default_transaction_read_only = on")
    if not connection.get_autocommit():
        # With AUTOCOMMIT off a transaction is open already, and would take the setting with it when it is rolled back.
        connection.commit()

    def restore(connection: BaseDatabaseWrapper) -> None:
        # In a transaction that the command left open, what is set would be undone when it is rolled back.
        if connection.get_autocommit():
            with contextlib.suppress(DatabaseError):
                statements.run(connection, f"SET default_transaction_read_only = {before}")
                return
        connection.close()

    return restore


def _refuse_on_mysql(connection: BaseDatabaseWrapper) -> Restore:
    # MariaDB knows the first name in all of its versions, MySQL 8 the second one only.
    is_mariadb = bool(getattr(connection, "mysql_is_mariadb", False))
    before = statements.ask(connection, f"SELECT @@SESSION.{'tx_read_only' if is_mariadb else 'transaction_read_only'}")
    statements.run(connection, "SET SESSION TRANSACTION READ ONLY")

    def restore(connection: BaseDatabaseWrapper) -> None:
        with contextlib.suppress(DatabaseError):
            statements.run(connection, f"SET SESSION TRANSACTION READ {'ONLY' if before else 'WRITE'}")
            return
        connection.close()

    return restore


def _refuse_on_sqlite(connection: BaseDatabaseWrapper) -> Restore:
    before = statements.ask(connection, "PRAGMA query_only")
    statements.run(connection, "PRAGMA query_only = ON")
    # BEGIN IMMEDIATE asks for the write lock, which is refused as well: a transaction that reads begins without it.
    wrapper: Any = connection
    mode, wrapper.transaction_mode = wrapper.transaction_mode, None

    def restore(connection: BaseDatabaseWrapper) -> None:
        wrapper: Any = connection
        wrapper.transaction_mode = mode
        # By the driver: in a transaction that is marked for rollback, Django refuses every statement.
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
