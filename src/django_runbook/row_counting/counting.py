"""Counts the rows that a command changes on every connection that it uses."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, Self

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from django_runbook.exceptions import said
from django_runbook.row_account import RowAccount, TableCounts
from django_runbook.row_counting.effects import Effects, MysqlEffects, OtherEffects, SqliteEffects
from django_runbook.row_counting.ledger import Ledger, Tables
from django_runbook.row_counting.postgresql import PostgresqlEffects
from django_runbook.row_counting.statement_text import SqlStatement, Verb, parse, temporary_table

_EFFECTS: Final[dict[str, Callable[..., Effects]]] = {
    "sqlite": SqliteEffects,
    "postgresql": PostgresqlEffects,
    "mysql": MysqlEffects,
}
_MAX_NOTES: Final = 5
# What the schema editor of Django calls the copy of a table on SQLite.
_COPY: Final = "new__"
# Methods of cursors that change rows without a statement that a wrapper sees.
_PAST_WRAPPERS: Final = ("callproc", "copy", "copy_from", "copy_expert")
_IGNORED: Final = SqlStatement(verb=Verb.READ)


class RowCounter:
    """Counts rows on the connections of this thread, or of all threads; as a context manager, while it is entered.

    In a dry run, what a command rolls back by ``set_rollback()`` counts, because it would have been committed; with
    ``counts_rollbacks``, every transaction counts.
    """

    def __init__(
        self, *, is_dry_run: bool = False, counts_rollbacks: bool = False, is_every_thread: bool = False
    ) -> None:
        self.is_dry_run = is_dry_run
        self.counts_rollbacks = counts_rollbacks
        self.own_tables = {model._meta.db_table for model in apps.get_app_config("django_runbook").get_models()}
        self._thread = None if is_every_thread else threading.get_ident()
        self._counters: dict[int, _ConnectionCounter] = {}
        self._notes: dict[str, None] = {}
        self._deletable: Tables = {}

    def __enter__(self) -> Self:
        for connection in connections.all(initialized_only=True):
            self._attach(connection)
        connection_created.connect(self._note_connection, weak=False, dispatch_uid=id(self))
        return self

    def __exit__(self, *error: object) -> None:
        connection_created.disconnect(dispatch_uid=id(self))
        for counter in self._counters.values():
            counter.detach()

    def note(self, text: str) -> None:
        """Keep why more rows may have changed than were counted."""
        if len(self._notes) < _MAX_NOTES:
            self._notes[text] = None

    def add_deletable(self, table: str, count: int, *, alias: str) -> None:
        """Count rows that a command would have deleted, but has only selected in this dry run."""
        if self.is_dry_run and count:
            key = table if alias == DEFAULT_DB_ALIAS else f"{table}@{alias}"
            self._deletable[key] = self._deletable.get(key, TableCounts()) + TableCounts(deleted=count)

    def account(self) -> RowAccount:
        """Return the rows counted so far, in the order of the first change of each table."""
        tables = dict(self._deletable)
        for counter in self._counters.values():
            suffix = "" if counter.alias == DEFAULT_DB_ALIAS else f"@{counter.alias}"
            for name, counts in counter.ledger.committed.items():
                key = f"{name}{suffix}"
                tables[key] = tables.get(key, TableCounts()) + counts
        return RowAccount(tables=tables, notes=tuple(self._notes))

    def _note_connection(self, connection: BaseDatabaseWrapper, **kwargs: object) -> None:
        if self._thread is None or threading.get_ident() == self._thread:
            self._attach(connection)

    def _attach(self, connection: BaseDatabaseWrapper) -> None:
        known = self._counters.get(id(connection))
        if known is None:
            self._counters[id(connection)] = _ConnectionCounter(self, connection)
        else:
            known.reconnect()


class _ConnectionCounter:
    """Counts rows on one connection: wraps its statements, its commits and its rollbacks."""

    def __init__(self, counter: RowCounter, connection: BaseDatabaseWrapper) -> None:
        self.ledger = Ledger()
        self.alias = connection.alias
        self._counter = counter
        self._connection: Any = connection
        self._new_effects = _EFFECTS.get(connection.vendor, OtherEffects)
        self._effects = self._new_effects(connection, self._note)
        self._temporary = set[str]()
        # A transaction that was begun by a statement of the command.
        self._is_begun = False
        self._was_in_transaction = False
        self._is_inside = bool(connection.in_atomic_block)
        self._is_active = True
        # In front: execute_wrapper() removes the last one at its end.
        connection.execute_wrappers.insert(0, self)
        hooks = {
            "_commit": self._commit,
            "_rollback": self._rollback,
            "_close": self._close,
            "set_rollback": self._set_rollback,
            "_prepare_cursor": self._prepare_cursor,
        }
        self._called = {name: getattr(connection, name) for name in hooks}
        # A run inside of a command counts too.
        self._replaced = {name: vars(connection).get(name) for name in hooks}
        vars(connection).update(hooks)

    def __call__(self, execute: Callable[..., Any], sql: Any, params: Any, many: bool, context: Any) -> Any:  # noqa: FBT001 - as Django calls it
        if not self._is_active:
            return execute(sql, params, many, context)
        statement = _IGNORED
        with self._guarded():
            statement = self._begin(sql)
        try:
            result = execute(sql, params, many, context)
        except BaseException:
            with self._guarded():
                self._add(self._effects.fail(statement, is_many=many))
            raise
        with self._guarded():
            self._end(statement, context["cursor"], is_many=many)
        return result

    def detach(self) -> None:
        """Stop counting; what is open in a transaction of the command is not committed any more."""
        self._settle()
        # A transaction around the command ends after it.
        if self._is_inside or self._counter.counts_rollbacks:
            self.ledger.commit()
        self._is_active = False
        if self in self._connection.execute_wrappers:
            self._connection.execute_wrappers.remove(self)
        for name, before in self._replaced.items():
            if before is None:
                vars(self._connection).pop(name, None)
            else:
                setattr(self._connection, name, before)

    def reconnect(self) -> None:
        """Discard what was open on a connection that was closed."""
        self._is_begun = False
        self._end_by_rollback()
        self._effects = self._new_effects(self._connection, self._note)

    @property
    def _is_in_transaction(self) -> bool:
        connection = self._connection
        return bool(connection.in_atomic_block or self._is_begun or not connection.autocommit)

    def _begin(self, sql: Any) -> SqlStatement:
        sql = sql if isinstance(sql, str) else sql.as_string(self._connection.connection)
        statement = parse(sql)
        self._settle()
        self._was_in_transaction = self._is_in_transaction
        if self._connection.needs_rollback:
            return _IGNORED
        if self.ledger.is_open and not self._is_in_transaction:
            # A statement of the database, such as one of the schema on MySQL, has committed the transaction.
            self.ledger.commit()
        if statement.verb is Verb.SCHEMA:
            if name := temporary_table(sql):
                self._temporary.add(name)
            if self._connection.vendor == "mysql":
                self.ledger.commit()
        if not self._is_ignored(statement.name):
            self._effects.begin(statement, is_in_transaction=self._was_in_transaction)
        return statement

    def _end(self, statement: SqlStatement, cursor: Any, *, is_many: bool) -> None:
        changes = self._effects.end(statement, cursor, is_many=is_many)
        self._add(changes)
        match statement.verb:
            case Verb.BEGIN:
                self._is_begun = True
            case Verb.COMMIT:
                self._is_begun = False
                self.ledger.commit()
            case Verb.ROLLBACK:
                self._is_begun = False
                self._end_by_rollback()
            case Verb.SAVEPOINT:
                self.ledger.save(statement.name)
            case Verb.RELEASE:
                self.ledger.release(statement.name)
            case Verb.ROLLBACK_TO:
                self.ledger.roll_back_to(statement.name)

    def _add(self, changes: Tables) -> None:
        counted = {self._normal(name): counts for name, counts in changes.items() if not self._is_ignored(name)}
        if counted:
            self.ledger.add(counted, is_in_transaction=self._was_in_transaction)

    def _settle(self) -> None:
        if self._is_active:
            with self._guarded():
                self._add(self._effects.settle())

    def _commit(self) -> Any:
        self._settle()
        result = self._called["_commit"]()
        self._is_begun = False
        self.ledger.commit()
        return result

    def _rollback(self) -> Any:
        self._settle()
        result = self._called["_rollback"]()
        self._is_begun = False
        self._end_by_rollback()
        return result

    def _close(self) -> Any:
        self._settle()
        return self._called["_close"]()

    def _prepare_cursor(self, cursor: Any) -> Any:
        prepared = self._called["_prepare_cursor"](cursor)
        for name in _PAST_WRAPPERS:
            if hasattr(cursor, name):
                vars(prepared)[name] = partial(self._call_past_wrappers, name, getattr(prepared, name))
        return prepared

    def _call_past_wrappers(self, name: str, method: Callable[..., Any], *args: Any, **options: Any) -> Any:
        self._note(f"the rows that {name}() of a cursor changes are not counted")
        return method(*args, **options)

    def _set_rollback(self, rollback: bool) -> Any:  # noqa: FBT001 - as Django calls it
        if rollback and self._counter.is_dry_run:
            self._settle()
            self.ledger.commit()
        return self._called["set_rollback"](rollback)

    def _end_by_rollback(self) -> None:
        if self._counter.counts_rollbacks:
            self.ledger.commit()
        else:
            self.ledger.roll_back()

    def _is_ignored(self, name: str) -> bool:
        bare = name.rpartition(".")[2]
        is_internal = bare.startswith(_COPY) or (self._connection.vendor == "sqlite" and bare.startswith("sqlite_"))
        return is_internal or bare in self._counter.own_tables or name in self._temporary

    def _normal(self, name: str) -> str:
        """Return the name of a table without the schema or the database that a bare name means too."""
        schema, _, bare = name.rpartition(".")
        usual = {"sqlite": "main", "postgresql": "public", "mysql": self._connection.settings_dict["NAME"]}
        return bare if schema == usual.get(self._connection.vendor) else name

    def _note(self, text: str) -> None:
        self._counter.note(text if self.alias == DEFAULT_DB_ALIAS else f"{text} ({self.alias})")

    @contextlib.contextmanager
    def _guarded(self) -> Iterator[None]:
        """Keep an error of ours out of the command, and say that rows are not counted any more."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - counting must not fail a step
            self._is_active = False
            self._note(f"rows are no longer counted, because of {type(error).__name__}: {said(error)}")
