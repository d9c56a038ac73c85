"""Executes statements on the journal's connection, and retries while the database is unavailable."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.db import Error, IntegrityError, InterfaceError, OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.transaction import TransactionManagementError

from django_runbook.exceptions import JournalLost
from django_runbook.journal.unreadable import HISTORY, OUTDATED, has_no_tables, in_one_line, is_outdated, lacks_columns
from django_runbook.process.connections import is_in_memory

# How long a statement is retried.
PATIENCE_SECONDS: Final = 60.0
_RETRY_SECONDS: Final = 0.05
# Waiting is reported after this time.
_REPORT_SECONDS: Final = 1.0
# The error codes of MySQL for a lock timeout and a deadlock.
_MYSQL_BUSY: Final = frozenset((1205, 1213))
# The error code of MySQL for a statement that is longer than it accepts.
_MYSQL_TOO_LONG: Final = 1153
# The error code of PostgreSQL for a read-only server, which a standby is until it takes over.
_FAILOVER: Final = frozenset(("25006",))
# The error codes of SQLite for a file that cannot be read, written or opened, also because its descriptor was closed.
_SQLITE_BROKEN: Final = frozenset((sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN))
_Value = TypeVar("_Value")
_WIPES: Final = 'a runbook that wipes or restores its own database needs "journal: false" or --no-journal'
GONE: Final = f"the rows of the run are gone, or another process has taken the run over; {_WIPES}"


class JournalConnection:
    """Executes the statements of one run on the database ``alias``; each may be called again after an error."""

    def __init__(self, alias: str, *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        # Called once with the reason when a statement has to wait for the database.
        self.on_wait: Callable[[str], None] = lambda reason: None
        # Called after each statement that the database has refused.
        self.on_answer: Callable[[], None] = lambda: None
        self.is_step_running: Callable[[], bool] = lambda: False
        self.alias = alias
        self._patience_seconds = patience_seconds
        # Whether the statements of the present call of `execute_together` may have been committed before; None outside.
        self._is_shared_repeated: bool | None = None
        # Whether the statements of a transaction that was refused may have been committed before.
        self._may_be_committed = False
        # The depth of the transaction around the run if commands share the connection.
        self._depth: int | None = None
        self._thread = threading.get_ident()

    @property
    def wrapper(self) -> BaseDatabaseWrapper:
        """Return Django's connection of this thread."""
        return connections[self.alias]

    def share(self) -> None:
        """Note that commands use the same connection."""
        self._depth = len(self.wrapper.atomic_blocks)

    def is_outside_commands(self) -> bool:
        """Return whether a write would be outside a command's transaction, which could roll it back."""
        if self._depth is None:
            return True
        # A command may report progress from a thread of its own, which has another connection.
        return threading.get_ident() == self._thread and len(self.wrapper.atomic_blocks) <= self._depth

    def execute(self, statement: Callable[[bool], _Value]) -> _Value:
        """Call a statement until it succeeds; its argument says whether an earlier call may have been committed."""
        if self._is_shared_repeated is not None:
            return statement(self._is_shared_repeated)
        deadline = time.monotonic() + self._patience_seconds
        is_repeated, is_reported = self._may_be_committed, False
        while True:
            try:
                with self.savepoint():
                    return statement(is_repeated)
            except Error as error:
                self.on_answer()
                is_late = time.monotonic() >= deadline and not self._is_blocked_by_own_step(error)
                if is_late or not self._is_transient(error):
                    raise JournalLost(self._why(error)) from error
                is_repeated = self._close_if_broken(error) or is_repeated
                if not is_reported and time.monotonic() >= deadline - self._patience_seconds + _REPORT_SECONDS:
                    is_reported = True
                    self.on_wait(in_one_line(error))
                time.sleep(_RETRY_SECONDS)

    def execute_together(self, writes: Sequence[Callable[[], None]]) -> None:
        """Call writes in one transaction until it is committed; the statements that they execute belong to it."""

        def statement(is_repeated: bool) -> None:  # noqa: FBT001 - `execute` calls it
            self._may_be_committed = is_repeated
            with transaction.atomic(using=self.alias):
                self._is_shared_repeated = is_repeated
                try:
                    for write in writes:
                        write()
                finally:
                    self._is_shared_repeated = None

        try:
            self.execute(statement)
        except JournalLost as error:
            if not self.has_refused(error):
                raise
            # One of them was refused: those before it must be stored nevertheless.
            for write in writes:
                write()
        finally:
            self._may_be_committed = False

    def has_refused(self, error: JournalLost) -> bool:
        """Return whether the database has refused the statement that led to this error, as it always will."""
        cause = error.__cause__
        return isinstance(cause, Error) and not self._is_transient(cause)

    def execute_once(self, statement: Callable[[], None]) -> None:
        """Call a statement without waiting for a database that is busy or unavailable."""
        try:
            with self.savepoint():
                statement()
        except Error as error:
            self.on_answer()
            if not self._is_transient(error):
                raise JournalLost(self._why(error)) from error
            self._close_if_broken(error)

    def exists(self) -> bool:
        """Return whether the project has a database; raises JournalLost if the database is unavailable."""
        try:
            self.wrapper.ensure_connection()
        except ImproperlyConfigured:
            return False
        except Error as error:
            why = f"{in_one_line(error)} (--no-journal runs without it)"
            raise JournalLost(why, what="the journal cannot be written: ") from error
        return True

    def is_ready(self) -> bool:
        """Return whether there is a database with all tables."""
        try:
            self.wrapper.ensure_connection()
        except ImproperlyConfigured:
            return False
        return self.find_tables()

    def find_tables(self) -> bool:
        """Return whether all columns exist; a table of an earlier release lacks some."""
        with self.savepoint(), self.wrapper.cursor() as cursor:
            names = self.wrapper.introspection.table_names(cursor)
            return all(
                model._meta.db_table in names and not lacks_columns(model, self.wrapper, cursor) for model in HISTORY
            )

    def reconnect(self) -> None:
        """Close the connection unless a transaction depends on it; the next statement opens a new one."""
        if not self.wrapper.in_atomic_block and not is_in_memory(self.alias):
            self._close()

    def _close_if_broken(self, error: Error) -> bool:
        """Close the connection, whatever its driver thinks of it, unless the database was only busy."""
        if self.wrapper.in_atomic_block or _is_busy(error):
            return False
        self._close()
        return True

    def _close(self) -> None:
        wrapper = self.wrapper
        with contextlib.suppress(Exception):
            wrapper.close()
        wrapper.connection = None

    def savepoint(self) -> contextlib.AbstractContextManager[None]:
        """Protect a transaction around the run, such as the transaction of a test, from a failed statement."""
        return transaction.atomic(using=self.alias) if self.wrapper.in_atomic_block else contextlib.nullcontext()

    def _is_transient(self, error: Error) -> bool:
        """Return whether the same statement may succeed a moment later."""
        if _is_busy(error):
            return True
        if self.wrapper.in_atomic_block:
            return False
        if isinstance(error, TransactionManagementError):
            # The connection broke when Django rolled back to a savepoint, which hides its error.
            return True
        if self.wrapper.vendor == "sqlite":
            return getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF in _SQLITE_BROKEN
        if isinstance(error, OperationalError | InterfaceError):
            return error.args[:1] != (_MYSQL_TOO_LONG,)
        return getattr(error.__cause__, "sqlstate", None) in _FAILOVER

    def _is_blocked_by_own_step(self, error: Error) -> bool:
        """Return whether a step of this run may hold the lock: SQLite has one lock for the whole database."""
        return self.wrapper.vendor == "sqlite" and _is_busy(error) and self.is_step_running()

    def _why(self, error: Error) -> str:
        if isinstance(error, IntegrityError):
            return f"{GONE} ({in_one_line(error)})"
        # The reason of a failed write cannot wait for the database, so the tables are checked only once.
        with contextlib.suppress(Error), self.savepoint():
            if has_no_tables(self.alias):
                return f"its tables are gone; {_WIPES}"
            if is_outdated(self.alias):
                return OUTDATED
        return in_one_line(error)


def _is_busy(error: Error) -> bool:
    if not isinstance(error, OperationalError):
        return False
    return "locked" in str(error) or (bool(error.args) and error.args[0] in _MYSQL_BUSY)
