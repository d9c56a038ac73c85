"""Measures what a statement changes besides the rows that it names: cascades, triggers and rules of the database."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Final, Protocol

from django.db.backends.base.base import BaseDatabaseWrapper

from django_runbook.row_account import TableCounts
from django_runbook.row_counting.ledger import Tables
from django_runbook.row_counting.statement_text import WRITES, SqlStatement, Verb
from django_runbook.structs import Struct


class Effects(Protocol):
    """Measures one statement of a connection at a time: ``begin``, the statement, ``end``.

    ``not_transactional`` holds the tables whose rows no rollback restores.
    """

    not_transactional: set[str]

    @property
    def has_failed(self) -> bool:
        """Return whether the open transaction can only be rolled back."""

    def begin(self, statement: SqlStatement, *, is_in_transaction: bool) -> None:
        """Prepare to measure a statement."""

    def end(self, statement: SqlStatement, cursor: Any, *, is_many: bool) -> Tables:
        """Return the rows that it changed."""

    def called_function(self, query: str) -> str:
        """Return the name of a function of the database that a query calls, and that may change rows; empty if none."""

    def settle(self) -> Tables:
        """Return the rows of the last statement that became known only later."""

    def fail(self, statement: SqlStatement, *, is_many: bool) -> Tables:
        """Return the rows that a statement changed before it failed, and drop what was prepared for it."""


class StatementCounts:
    """Counts the rows that the driver reports for a statement; ``note`` gets what it cannot tell.

    ``functions_query`` finds the names of the functions that may change rows.
    """

    functions_query: ClassVar[str] = ""

    def __init__(self, connection: BaseDatabaseWrapper, note: Callable[[str], None]) -> None:
        self.connection = connection
        self.note = note
        self.not_transactional = set[str]()
        self._functions: re.Pattern[str] | None = None

    @property
    def has_failed(self) -> bool:
        return False

    def called_function(self, query: str) -> str:
        if not self.functions_query or "(" not in query or self.has_failed:
            return ""
        if self._functions is None:
            names = [re.escape(name) for (name,) in self.fetch(self.functions_query)]
            # Without names, the pattern matches nothing.
            self._functions = re.compile(rf"\b({'|'.join(names) or '(?!)'})[\"`]?\s*\(", re.IGNORECASE)
        found = self._functions.search(query)
        return "" if found is None else found[1]

    def begin(self, statement: SqlStatement, *, is_in_transaction: bool) -> None:
        if statement.verb is Verb.TRUNCATE:
            self.note(f"TRUNCATE has removed all rows of {statement.name}")
        elif statement.verb is Verb.OTHER:
            self.note(f"the rows that {statement.name} changes are not counted")

    def end(self, statement: SqlStatement, cursor: Any, *, is_many: bool) -> Tables:
        if statement.verb is Verb.SCHEMA:
            return self.filled(statement, cursor)
        if statement.verb not in WRITES:
            return {}
        return self.counted(statement, self.row_count(statement, cursor))

    def filled(self, statement: SqlStatement, cursor: Any) -> Tables:
        """Return the rows with which a new table was filled: only ``CREATE TABLE … AS`` has a row count."""
        count = int(cursor.rowcount) if statement.name else 0
        return {statement.name: TableCounts(inserted=count)} if count > 0 else {}

    def settle(self) -> Tables:
        return {}

    def fail(self, statement: SqlStatement, *, is_many: bool) -> Tables:
        if is_many and statement.verb in WRITES:
            self.note(f"the rows that executemany() changed in {statement.name} before it failed are not counted")
        return {}

    def row_count(self, statement: SqlStatement, cursor: Any) -> int:
        """Return the number of rows that the driver reports."""
        count = int(cursor.rowcount)
        if count < 0:
            self.note(f"the driver does not report how many rows {statement.verb.value} of {statement.name} changed")
        return max(0, count)

    def counted(self, statement: SqlStatement, count: int) -> Tables:
        """Return the counts of a statement that changed rows of one table."""
        if not count:
            return {}
        return {
            statement.name: TableCounts(
                inserted=count if statement.verb is Verb.INSERT else 0,
                updated=count if statement.verb is Verb.UPDATE else 0,
                deleted=count if statement.verb is Verb.DELETE else 0,
                written=count if statement.verb in {Verb.UPSERT, Verb.REPLACE} else 0,
            )
        }

    def fetch(self, sql: str, params: tuple[object, ...] = ()) -> list[Any]:
        """Return the rows of a query, which the wrappers of the connection do not see."""
        cursor = self.connection.connection.cursor()
        try:
            cursor.execute(sql, params)
            return list(cursor.fetchall())
        finally:
            cursor.close()


class OtherEffects(StatementCounts):
    """Counts rows on a database whose triggers and cascades are unknown."""

    def begin(self, statement: SqlStatement, *, is_in_transaction: bool) -> None:
        super().begin(statement, is_in_transaction=is_in_transaction)
        if statement.verb in WRITES:
            self.note(f"triggers and cascades of {self.connection.vendor} are not counted")


class SqliteEffects(StatementCounts):
    """Compares the row counts with the total of the connection, which includes triggers and cascades.

    The count of a statement with ``RETURNING`` is known after its rows have been fetched.
    """

    def __init__(self, connection: BaseDatabaseWrapper, note: Callable[[str], None]) -> None:
        super().__init__(connection, note)
        self._total = self._read_total()
        self._open: tuple[SqlStatement, Any] | None = None
        self._unique: dict[str, bool] = {}

    def begin(self, statement: SqlStatement, *, is_in_transaction: bool) -> None:
        if statement.verb is Verb.SCHEMA:
            self._unique.clear()
        elif statement.verb is Verb.REPLACE and self._has_unique(statement.name):
            self.note(f"the rows that REPLACE has deleted in {statement.name} are not counted")

    def end(self, statement: SqlStatement, cursor: Any, *, is_many: bool) -> Tables:
        if statement.verb is Verb.SCHEMA:
            self._total = self._read_total()
        elif statement.verb in WRITES or statement.verb is Verb.OTHER:
            self._open = (statement, getattr(cursor, "cursor", cursor))
        return {}

    def settle(self) -> Tables:
        total, opened = self._read_total(), self._open
        changed, self._total, self._open = total - self._total, total, None
        if opened is None or opened[0].verb not in WRITES:
            if changed > 0:
                how = "the driver" if opened is None else opened[0].name
                self.note(f"rows of unknown tables were changed by {how}")
            return {}
        statement, cursor = opened
        reported = int(cursor.rowcount)
        count = changed if reported < 0 else reported
        if changed > max(count, 0):
            self.note(f"triggers or cascades of {statement.name} have changed more rows, of unknown tables")
        return self.counted(statement, count)

    def fail(self, statement: SqlStatement, *, is_many: bool) -> Tables:
        # SQLite undoes the statement that failed, and executemany() is several of them.
        total = self._read_total()
        changed, self._total, self._open = total - self._total, total, None
        return self.counted(statement, changed) if statement.verb in WRITES else {}

    def _has_unique(self, table: str) -> bool:
        """Return whether a new row can replace rows with other primary keys."""
        if table not in self._unique:
            schema, _, bare = table.rpartition(".")
            query = "SELECT 1 FROM pragma_index_list(?, ?) WHERE \"unique\" AND origin <> 'pk'"
            self._unique[table] = bool(self.fetch(query, (bare, schema or "main")))
        return self._unique[table]

    def _read_total(self) -> int:
        raw = self.connection.connection
        return 0 if raw is None else int(raw.total_changes)


class _TableTraits(Struct):
    """Holds what a statement on a table of MySQL or MariaDB may change besides, and the number of its unique keys."""

    causes: Mapping[Verb, str]
    unique_count: int


class MysqlEffects(StatementCounts):
    """Says which tables have triggers or cascades, whose rows MySQL and MariaDB do not report."""

    functions_query = (
        "SELECT ROUTINE_NAME FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = DATABASE() "
        "AND ROUTINE_TYPE = 'FUNCTION' AND SQL_DATA_ACCESS NOT IN ('NO SQL', 'READS SQL DATA')"
    )
    _TRIGGERS: Final = (
        "SELECT EVENT_MANIPULATION FROM information_schema.TRIGGERS "
        "WHERE EVENT_OBJECT_SCHEMA = DATABASE() AND EVENT_OBJECT_TABLE = %s"
    )
    _CASCADES: Final = (
        "SELECT DELETE_RULE, UPDATE_RULE FROM information_schema.REFERENTIAL_CONSTRAINTS "
        "WHERE UNIQUE_CONSTRAINT_SCHEMA = DATABASE() AND REFERENCED_TABLE_NAME = %s"
    )

    _TRANSACTIONS: Final = (
        "SELECT e.TRANSACTIONS FROM information_schema.TABLES t JOIN information_schema.ENGINES e "
        "ON e.ENGINE = t.ENGINE WHERE t.TABLE_SCHEMA = DATABASE() AND t.TABLE_NAME = %s"
    )
    _UNIQUE_KEYS: Final = (
        "SELECT COUNT(DISTINCT INDEX_NAME) FROM information_schema.STATISTICS "
        "WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = %s AND NON_UNIQUE = 0"
    )

    def __init__(self, connection: BaseDatabaseWrapper, note: Callable[[str], None]) -> None:
        super().__init__(connection, note)
        self._traits: dict[str, _TableTraits] = {}

    def begin(self, statement: SqlStatement, *, is_in_transaction: bool) -> None:
        super().begin(statement, is_in_transaction=is_in_transaction)
        if statement.verb is Verb.SCHEMA:
            self._traits.clear()
            self._functions = None
        elif statement.verb in WRITES:
            if statement.name not in self._traits:
                self._traits[statement.name] = self._find(statement.name)
            if cause := self._traits[statement.name].causes.get(statement.verb):
                self.note(f"the rows that {cause} of {statement.name} change are not counted on {self._product}")

    def end(self, statement: SqlStatement, cursor: Any, *, is_many: bool) -> Tables:
        if statement.verb not in {Verb.UPSERT, Verb.REPLACE}:
            return super().end(statement, cursor, is_many=is_many)
        count = self.row_count(statement, cursor)
        if not count:
            return {}
        is_returning = getattr(cursor, "description", None) is not None
        if statement.verb is Verb.REPLACE:
            self.note(f"the rows that REPLACE has deleted in {statement.name} are not counted separately")
            # Each new row counts, and each row that it has replaced: at most one for each unique key.
            return self.counted(statement, count if is_returning else -(-count // (1 + self._unique_count(statement))))
        if not is_returning:
            # An updated row counts twice, unless the statement returns its rows.
            self.note(f"{self._product} counts a row that was inserted or updated in {statement.name} once or twice")
            count = (count + 1) // 2
        return self.counted(statement, count)

    @property
    def _product(self) -> str:
        return str(getattr(self.connection, "display_name", "MySQL"))

    def _unique_count(self, statement: SqlStatement) -> int:
        return self._traits[statement.name].unique_count

    def _find(self, table: str) -> _TableTraits:
        name = table.rpartition(".")[2]
        if not all(row[0] == "YES" for row in self.fetch(self._TRANSACTIONS, (name,))):
            self.not_transactional.add(table)
        events = {row[0].upper() for row in self.fetch(self._TRIGGERS, (name,))}
        causes = {verb: "triggers" for verb in (Verb.INSERT, Verb.UPDATE, Verb.DELETE) if verb.value in events}
        if events & {"INSERT", "UPDATE"}:
            causes[Verb.UPSERT] = "triggers"
        if events & {"INSERT", "DELETE"}:
            causes[Verb.REPLACE] = "triggers"
        for rules in self.fetch(self._CASCADES, (name,)):
            for verb, rule in zip((Verb.DELETE, Verb.UPDATE), rules, strict=True):
                if rule in {"CASCADE", "SET NULL", "SET DEFAULT"}:
                    causes[verb] = "cascades"
                    if verb is Verb.DELETE:
                        causes[Verb.REPLACE] = "cascades"
        return _TableTraits(causes=causes, unique_count=int(self.fetch(self._UNIQUE_KEYS, (name,))[0][0]))
