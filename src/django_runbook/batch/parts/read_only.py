"""Makes a database connection refuse writes, by means of the database itself."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from django.core.management.base import CommandError
from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from django_runbook.batch.parts import sql

Restore = Callable[[BaseDatabaseWrapper], None]
# SQLite asks whether to continue after this many instructions.
_INSTRUCTIONS: Final = 10_000


@contextlib.contextmanager
def read_only(alias: str, *, statement_seconds: float | None = None) -> Iterator[None]:
    """Make this thread's connection to a database refuse writes, even if it is reopened, and restore it afterwards.

    With ``statement_seconds``, the database also cancels each statement that takes longer. Connections of other threads
    are not changed.
    """
    vendor = connections[alias].vendor
    if vendor not in _REFUSE:
        raise CommandError(f'the database "{alias}" ({vendor}) cannot be made read-only by django-runbook')
    is_open_transaction = connections[alias].in_atomic_block
    if vendor == "postgresql" and (is_open_transaction or _is_pooled(connections[alias])):
        with _transaction(alias, statement_seconds):
            yield
    elif vendor == "mysql" and is_open_transaction:
        raise CommandError(
            f'a transaction is open on the database "{alias}": '
            "a read-only command must start outside of it, because the database cannot make an open one read-only"
        )
    else:
        with _session(alias, statement_seconds):
            yield


@contextlib.contextmanager
def _transaction(alias: str, statement_seconds: float | None) -> Iterator[None]:
    # In an open transaction this is a savepoint: PostgreSQL makes it read-only alone and resets that at its end.
    connection = connections[alias]
    with transaction.atomic(using=alias):
        sql.execute(connection, "SET TRANSACTION READ ONLY")
        if statement_seconds is None:
            yield
            return
        before = sql.fetch_value(connection, "SHOW statement_timeout")
        sql.execute(connection, f"SET LOCAL statement_timeout = {int(statement_seconds * 1000)}")
        yield
        if not connection.needs_rollback:
            # A rollback restores it too.
            sql.execute(connection, f"SET LOCAL statement_timeout = '{before}'")


def _is_pooled(connection: BaseDatabaseWrapper) -> bool:
    # A setting of a pooled connection would leak to its next user. A project that uses a pooler in transaction mode
    # must disable server-side cursors, so that setting identifies it.
    values = connection.settings_dict
    return bool(values.get("DISABLE_SERVER_SIDE_CURSORS") or values.get("OPTIONS", {}).get("pool"))


@contextlib.contextmanager
def _session(alias: str, statement_seconds: float | None) -> Iterator[None]:
    restores: list[Restore] = []
    thread = threading.get_ident()

    def apply(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
        if threading.get_ident() == thread and connection is connections[alias]:
            restores.clear()
            if statement_seconds is not None:
                restores.append(_LIMIT[connection.vendor](connection, statement_seconds))
            restores.append(_REFUSE[connection.vendor](connection))

    if connections[alias].connection is not None:
        apply(connections[alias])
    connection_created.connect(apply, weak=False)
    try:
        yield
    finally:
        connection_created.disconnect(apply)
        for restore in reversed(restores):
            # One that cannot be restored is closed.
            if connections[alias].connection is not None:
                restore(connections[alias])


def _refuse_on_postgresql(connection: BaseDatabaseWrapper) -> Restore:
    before = sql.fetch_value(connection, "SHOW default_transaction_read_only")
    sql.execute(connection, "SET default_transaction_read_only = on")
    if not connection.get_autocommit():
        # With AUTOCOMMIT off a transaction is already open; rolling it back would undo the setting.
        connection.commit()
    return partial(_restore_by, f"SET default_transaction_read_only = {before}")


def _refuse_on_mysql(connection: BaseDatabaseWrapper) -> Restore:
    # All versions of MariaDB have the first name; MySQL 8 has only the second.
    is_mariadb = bool(getattr(connection, "mysql_is_mariadb", False))
    before = sql.fetch_value(
        connection, f"SELECT @@SESSION.{'tx_read_only' if is_mariadb else 'transaction_read_only'}"
    )
    sql.execute(connection, "SET SESSION TRANSACTION READ ONLY")
    return partial(_restore_by, f"SET SESSION TRANSACTION READ {'ONLY' if before else 'WRITE'}")


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


def _limit_on_postgresql(connection: BaseDatabaseWrapper, seconds: float) -> Restore:
    before = sql.fetch_value(connection, "SHOW statement_timeout")
    sql.execute(connection, f"SET statement_timeout = {int(seconds * 1000)}")
    return partial(_restore_by, f"SET statement_timeout = '{before}'")


def _limit_on_mysql(connection: BaseDatabaseWrapper, seconds: float) -> Restore:
    is_mariadb = bool(getattr(connection, "mysql_is_mariadb", False))
    name = "max_statement_time" if is_mariadb else "max_execution_time"
    before = sql.fetch_value(connection, f"SELECT @@SESSION.{name}")
    sql.execute(connection, f"SET SESSION {name} = {seconds if is_mariadb else int(seconds * 1000)}")
    return partial(_restore_by, f"SET SESSION {name} = {before}")


def _restore_by(statement: str, connection: BaseDatabaseWrapper) -> None:
    # In a transaction that the command left open, a rollback would undo the setting on PostgreSQL.
    if connection.get_autocommit() or connection.vendor == "mysql":
        with contextlib.suppress(DatabaseError):
            sql.execute(connection, statement)
            return
    connection.close()


def _limit_on_sqlite(connection: BaseDatabaseWrapper, seconds: float) -> Restore:
    deadline = math.inf

    def begin(statement: str) -> None:
        nonlocal deadline
        deadline = time.monotonic() + seconds

    def restore(connection: BaseDatabaseWrapper) -> None:
        raw.set_progress_handler(None, 0)
        raw.set_trace_callback(None)

    raw: Any = connection.connection
    raw.set_trace_callback(begin)
    raw.set_progress_handler(lambda: time.monotonic() > deadline, _INSTRUCTIONS)
    return restore


_LIMIT: Final[dict[str, Callable[[BaseDatabaseWrapper, float], Restore]]] = {
    "postgresql": _limit_on_postgresql,
    "mysql": _limit_on_mysql,
    "sqlite": _limit_on_sqlite,
}
_REFUSE: Final[dict[str, Callable[[BaseDatabaseWrapper], Restore]]] = {
    "postgresql": _refuse_on_postgresql,
    "mysql": _refuse_on_mysql,
    "sqlite": _refuse_on_sqlite,
}
