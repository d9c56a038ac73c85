"""Counts the rows that a command changes on one connection."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import Any, Final, Protocol

from django.db import DEFAULT_DB_ALIAS
from django.db.backends.base.base import BaseDatabaseWrapper

from django_runbook.exceptions import said
from django_runbook.row_counting.effects import Effects, MysqlEffects, OtherEffects, SqliteEffects
from django_runbook.row_counting.ledger import Ledger, Tables
from django_runbook.row_counting.postgresql import PostgresqlEffects
from django_runbook.row_counting.statement_text import SqlStatement, Verb, parse
from django_runbook.structs import replace

_EFFECTS: Final[dict[str, Callable[..., Effects]]] = {
    "sqlite": SqliteEffects,
    "postgresql": PostgresqlEffects,
    "mysql": MysqlEffects,
}
# What the schema editor of Django calls the copy of a table on SQLite.
_COPY: Final = "new__"
# Methods of cursors that change rows without a statement that a wrapper sees.
_PAST_WRAPPERS: Final = ("callproc", "copy", "copy_from", "copy_expert", "stream")
_IGNORED: Final = SqlStatement(verb=Verb.READ)


class CommandCounter(Protocol):
    """Counts the rows of a command on all of its connections, and keeps notes about rows that cannot be counted."""

    is_dry_run: bool
    counts_rollbacks: bool

    @property
    def own_tables(self) -> Collection[str]:
        """Return the tables that do not count."""

    def note(self, text: str) -> None:
        """Keep why more rows may have changed than were counted."""


class ConnectionCounter:
    """Counts rows on one connection: wraps its statements, its commits and its rollbacks."""

    def __init__(self, counter: CommandCounter, connection: BaseDatabaseWrapper) -> None:
        self.ledger = Ledger()
        self.alias = connection.alias
        self._counter = counter
        self._connection: Any = connection
        self._new_effects = _EFFECTS.get(connection.vendor, OtherEffects)
        self._effects = self._new_effects(connection, self._note)
        self._temporary = set[str]()
        # A transaction that was begun by a statement of the command.
        self._is_begun = False
        self._is_autocommit_off = False
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
        self._is_begun = self._is_autocommit_off = False
        self._end_by_rollback()
        self._effects = self._new_effects(self._connection, self._note)

    @property
    def _is_in_transaction(self) -> bool:
        connection = self._connection
        is_begun = self._is_begun or self._is_autocommit_off
        return bool(connection.in_atomic_block or is_begun or not connection.autocommit)

    def _begin(self, sql: Any) -> SqlStatement:
        sql = sql if isinstance(sql, str) else sql.as_string(self._connection.connection)
        statement = parse(sql)
        self._settle()
        self._was_in_transaction = self._is_in_transaction
        if self._connection.needs_rollback:
            return _IGNORED
        if statement.verb is Verb.READ and (function := self._effects.called_function(sql)):
            statement = SqlStatement(verb=Verb.OTHER, name=f"the function {function}()")
        if statement.verb is Verb.COMMIT and self._effects.has_failed:
            # It rolls back.
            statement = replace(statement, verb=Verb.ROLLBACK)
        if self.ledger.is_open and not self._is_in_transaction:
            # A statement of the database, such as one of the schema on MySQL, has committed the transaction.
            self.ledger.commit()
        if statement.is_temporary:
            self._temporary.add(statement.name)
        if statement.commits_on_mysql and self._connection.vendor == "mysql":
            self.ledger.commit()
        if not self._is_ignored(statement.name):
            self._effects.begin(statement, is_in_transaction=self._was_in_transaction)
        return statement

    def _end(self, statement: SqlStatement, cursor: Any, *, is_many: bool) -> None:
        changes = self._effects.end(statement, cursor, is_many=is_many)
        self._add(changes)
        if statement.verb is Verb.SCHEMA and statement.commits_on_mysql and self._connection.vendor == "mysql":
            self.ledger.commit()
        match statement.verb:
            case Verb.BEGIN:
                self._is_begun = True
            case Verb.COMMIT:
                self._is_begun = statement.name == "CHAIN"
                self.ledger.commit()
            case Verb.ROLLBACK:
                self._is_begun = statement.name == "CHAIN"
                self._end_by_rollback()
            case Verb.AUTOCOMMIT:
                self._is_autocommit_off = statement.name == "OFF"
                if not self._is_autocommit_off:
                    self.ledger.commit()
            case Verb.SAVEPOINT:
                self.ledger.save(statement.name)
            case Verb.RELEASE:
                self.ledger.release(statement.name)
            case Verb.ROLLBACK_TO:
                self.ledger.roll_back_to(statement.name)

    def _add(self, changes: Tables) -> None:
        for name, counts in changes.items():
            if not self._is_ignored(name):
                is_open = self._was_in_transaction and name not in self._effects.not_transactional
                self.ledger.add({self._normal(name): counts}, is_in_transaction=is_open)

    def _settle(self) -> None:
        if self._is_active:
            with self._guarded():
                self._add(self._effects.settle())

    def _commit(self) -> Any:
        self._settle()
        has_failed = self._effects.has_failed
        result = self._called["_commit"]()
        self._is_begun = False
        if has_failed:
            self._end_by_rollback()
        else:
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
