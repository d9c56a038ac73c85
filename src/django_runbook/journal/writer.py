"""Writes the rows of a run: waits for a database that is away, writes nothing twice, and notices lost tables."""

from __future__ import annotations

import contextlib
import functools
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from django.core.exceptions import ImproperlyConfigured
from django.db import Error, IntegrityError, InterfaceError, OperationalError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from django_runbook.exceptions import JournalLost
from django_runbook.journal.unreadable import in_one_line
from django_runbook.models import Run, StepRun
from django_runbook.process.connections import is_in_memory
from django_runbook.results import StepStatus

PATIENCE_SECONDS: Final = 60.0
_NAP_SECONDS: Final = 0.05
# Waiting is reported after this time.
_REPORT_SECONDS: Final = 1.0
# MySQL's codes for a lock that was not released in time, and for a deadlock.
_MYSQL_BUSY: Final = frozenset((1205, 1213))
# PostgreSQL's code for a server that is read-only, as a standby is until it takes over.
_FAILOVER: Final = frozenset(("25006",))
# SQLite's codes for a file that cannot be read, written or opened: also what it says where its descriptor was closed.
_SQLITE_BROKEN: Final = frozenset((sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN))
_ROWS_AT_ONCE: Final = 500
_Value = TypeVar("_Value")
GONE = "the rows of the run are gone, or another process has taken the run over"
_WIPES: Final = 'a runbook that wipes or restores its own database says "journal: false", or is run with --no-journal'


class Writer:
    """Writes the rows of one run to the database ``alias``. ``take_over`` makes rows that are there already ours.

    As long as the tables are not there, the rows are kept in memory: `is_waiting`.
    """

    def __init__(
        self,
        run: Run,
        *,
        alias: str,
        take_over: Callable[[], None] | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        self.is_waiting = False
        # Called once with the reason, when a write has to wait for the database.
        self.on_wait: Callable[[str], None] = lambda reason: None
        # Called after each call that the database has refused.
        self.on_answer: Callable[[], None] = lambda: None
        self.is_step_running: Callable[[], bool] = lambda: False
        self.alias = alias
        self._run = run
        self._take_over = take_over
        self._patience_seconds = patience_seconds
        self._kept: list[StepRun] = []
        # Of the transaction around the run, where commands share its connection.
        self._depth: int | None = None
        self._thread = threading.get_ident()

    def share_connection(self) -> None:
        """Take note that commands use the connection of this writer."""
        self._depth = len(self.connection.atomic_blocks)

    def begin(self) -> None:
        """Write that the run is running, or find that there is no table for it."""
        if not _is_usable(self.connection):
            self.is_waiting = True
            return
        take_over = self._take_over
        if take_over is not None:
            self._write(lambda is_again: take_over())
            return
        try:
            self._write(lambda is_again: self._insert(self._run, is_again=is_again))
        except JournalLost:
            if self._write(lambda is_again: self._find_tables()):
                raise
            self.is_waiting = True

    def insert(self, row: StepRun) -> None:
        """Write a new row."""
        if self.is_waiting:
            self._kept.append(row)
        else:
            self._write(lambda is_again: self._insert(row, is_again=is_again))

    def insert_all(self, rows: list[StepRun]) -> None:
        """Write rows that say all there is to say."""
        if self.is_waiting:
            self._kept += rows
            return
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[first : first + _ROWS_AT_ONCE]
            self._write(functools.partial(self._insert_some, some))

    def finish(self, row: StepRun, status: StepStatus, changes: dict[str, Any]) -> None:
        """Write how a row ended."""
        if self.is_waiting:
            for name, value in {"status": status.value, **changes}.items():
                setattr(row, name, value)
            return
        before = row.status

        def finish(is_again: bool) -> None:  # noqa: FBT001 - `_write` calls it
            row.status = before
            if not row.finish(status, using=self.alias, **changes) and not (is_again and self._is(row, status.value)):
                raise JournalLost(f"{GONE}; {_WIPES}")

        self._write(finish)

    def note(self, row: StepRun, changes: dict[str, Any]) -> None:
        """Write how far a row is; a database that is busy or away is not waited for, since another note will come."""
        if self.is_waiting:
            return
        try:
            with self._own_block():
                # An atomic step may have committed its end while this waited for its transaction.
                self._found(row.note(using=self.alias, **changes) or self._is(row, StepStatus.SUCCEEDED.value))
        except Error as error:
            self.on_answer()
            if not self._is_transient(error):
                raise JournalLost(self._why(error)) from error
            if not self.connection.in_atomic_block and not _is_busy(error):
                self._close()

    def finish_run(self, **result: Any) -> None:
        """Write how the run ended."""
        if self.is_waiting:
            return

        def finish(is_again: bool) -> None:  # noqa: FBT001 - `_write` calls it
            run = self._run
            run.status = "running"
            if not run.finish(using=self.alias, **result) and not (is_again and self._is(run, run.status)):
                raise JournalLost(f"{GONE}; {_WIPES}")

        self._write(finish)

    def look_for_tables(self) -> None:
        """Write what was kept in memory, where the tables are there by now."""
        if not self.is_waiting or not self._write(lambda is_again: self._is_ready()):
            return

        def write(is_again: bool) -> None:  # noqa: FBT001 - `_write` calls it
            with transaction.atomic(using=self.alias):
                if is_again and self._is(self._run, self._run.status):
                    return
                self._run.save(force_insert=True, using=self.alias)
                StepRun.objects.using(self.alias).bulk_create(self._kept, batch_size=_ROWS_AT_ONCE)

        self._write(write)
        # Not every database gives the keys back.
        keys = dict(_keys(StepRun.objects.using(self.alias).filter(run=self._run)))
        for row in self._kept:
            row.pk = keys[row.step_id, row.attempt]
        self.is_waiting, self._kept = False, []

    def can_note(self) -> bool:
        """Whether progress may be written now: inside a command's transaction it could be rolled back with it."""
        if self._depth is None:
            return True
        # A command may report it from a thread of its own, whose connection is another one.
        return threading.get_ident() == self._thread and len(self.connection.atomic_blocks) <= self._depth

    @property
    def connection(self) -> BaseDatabaseWrapper:
        return connections[self.alias]

    def _is_ready(self) -> bool:
        """Whether there is a database, with all tables."""
        try:
            self.connection.ensure_connection()
        except ImproperlyConfigured:
            return False
        return self._find_tables()

    def _has_tables(self) -> bool:
        """Whether the tables are there, asked once: what to say of a failed write cannot wait."""
        try:
            return self._find_tables()
        except Error as error:
            raise JournalLost(in_one_line(error)) from error

    def _find_tables(self) -> bool:
        """Whether all columns are there: a table of an earlier release is none yet."""
        with self._own_block(), self.connection.cursor() as cursor:
            introspection = self.connection.introspection
            names = introspection.table_names(cursor)
            for model in (Run, StepRun):
                table = model._meta.db_table
                if table not in names:
                    return False
                columns = {column.name for column in introspection.get_table_description(cursor, table)}
                if not {one.column for one in model._meta.local_concrete_fields} <= columns:
                    return False
        return True

    def _write(self, write: Callable[[bool], _Value]) -> _Value:
        """Call until it is done; it is told whether an earlier call may have done it, although no answer came."""
        deadline = time.monotonic() + self._patience_seconds
        is_again = is_reported = False
        while True:
            try:
                with self._own_block():
                    return write(is_again)
            except Error as error:
                self.on_answer()
                is_late = time.monotonic() >= deadline and not self._is_blocked_by_own_step(error)
                if is_late or not self._is_transient(error):
                    raise JournalLost(self._why(error)) from error
                if not self.connection.in_atomic_block and not _is_busy(error):
                    # Whatever the driver thinks of it, the next call gets a new one.
                    self._close()
                    is_again = True
                if not is_reported and time.monotonic() >= deadline - self._patience_seconds + _REPORT_SECONDS:
                    is_reported = True
                    self.on_wait(in_one_line(error))
                time.sleep(_NAP_SECONDS)

    def _is_transient(self, error: Error) -> bool:
        """Whether the database may take the same statement a moment later."""
        if _is_busy(error):
            return True
        if self.connection.in_atomic_block:
            return False
        if self.connection.vendor == "sqlite":
            return getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF in _SQLITE_BROKEN
        if isinstance(error, OperationalError | InterfaceError):
            return True
        return getattr(error.__cause__, "sqlstate", None) in _FAILOVER

    def _is_blocked_by_own_step(self, error: Error) -> bool:
        """Whether a step of this run may hold the lock that is waited for: SQLite has one for the whole database."""
        return self.connection.vendor == "sqlite" and _is_busy(error) and self.is_step_running()

    def reconnect(self) -> None:
        """Give up the connection, where no transaction depends on it."""
        if not self.connection.in_atomic_block and not is_in_memory(self.alias):
            self._close()

    def _close(self) -> None:
        connection = self.connection
        with contextlib.suppress(Exception):
            connection.close()
        connection.connection = None

    def _own_block(self) -> contextlib.AbstractContextManager[None]:
        """Where we stand in a transaction, as in a test, an error of ours does not spoil it."""
        return transaction.atomic(using=self.alias) if self.connection.in_atomic_block else contextlib.nullcontext()

    def _why(self, error: Error) -> str:
        if isinstance(error, IntegrityError):
            return f"{GONE} ({in_one_line(error)}); {_WIPES}"
        with contextlib.suppress(JournalLost):
            if not self._has_tables():
                return f"its tables are gone; {_WIPES}"
        return in_one_line(error)

    def _insert(self, row: Run | StepRun, *, is_again: bool) -> None:
        try:
            with transaction.atomic(using=self.alias) if is_again else contextlib.nullcontext():
                if isinstance(row, StepRun):
                    row.insert(using=self.alias)
                else:
                    row.save(force_insert=True, using=self.alias)
        except IntegrityError:
            if not is_again or not self._is(row, "running"):
                raise

    def _insert_some(self, rows: list[StepRun], is_again: bool) -> None:  # noqa: FBT001 - `_write` calls it
        known = dict(_keys(StepRun.objects.using(self.alias).filter(run=self._run))) if is_again else {}
        missing = [row for row in rows if (row.step_id, row.attempt) not in known]
        StepRun.objects.using(self.alias).bulk_create(missing)

    def _is(self, row: Run | StepRun, status: str) -> bool:
        """Whether the row is there, and ours, and says so: then an answer got lost, and no row."""
        if isinstance(row, Run):
            return Run.objects.using(self.alias).filter(pk=row.pk, owner=row.owner, status=status).exists()
        mine = StepRun.objects.using(self.alias).filter(
            run=self._run,
            run__owner=self._run.owner,
            step_id=row.step_id,
            attempt=row.attempt,
            run_attempt=row.run_attempt,
        )
        found = mine.filter(status=status).values_list("pk", flat=True).first()
        if found is not None:
            row.pk = found
        return found is not None

    def _found(self, is_found: bool) -> None:  # noqa: FBT001 - what a write returned
        if not is_found:
            raise JournalLost(f"{GONE}; {_WIPES}")

    def committed(self, row: StepRun, status: StepStatus) -> bool:
        """Whether the row says so by now, whatever the error said that came instead of an answer."""
        return self._write(lambda is_again: self._is(row, status.value))


def _keys(rows: Any) -> Iterator[tuple[tuple[str, int], int]]:
    for pk, step_id, attempt in rows.values_list("pk", "step_id", "attempt"):
        yield (step_id, attempt), pk


def _is_usable(connection: BaseDatabaseWrapper) -> bool:
    """Whether there is a database at all: a project may have none."""
    try:
        connection.ensure_connection()
    except ImproperlyConfigured:
        return False
    except Error as error:
        why = f"{in_one_line(error)} (--no-journal runs without it)"
        raise JournalLost(why, what="the journal cannot be written: ") from error
    return True


def _is_busy(error: Error) -> bool:
    if not isinstance(error, OperationalError):
        return False
    return "locked" in str(error) or (bool(error.args) and error.args[0] in _MYSQL_BUSY)
