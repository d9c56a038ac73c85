"""Measures what a statement changes besides the rows that it names: cascades, triggers and rules of the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from django.db.backends.base.base import BaseDatabaseWrapper

from django_runbook.row_account import TableCounts
from django_runbook.row_counting.ledger import Tables
from django_runbook.row_counting.statement_text import WRITES, SqlStatement, Verb


class Effects(Protocol):
    """Measures one statement of a connection at a time: ``begin``, the statement, ``end``."""

    def begin(self, statement: SqlStatement, *, is_in_transaction: bool) -> None:
        """Prepare to measure a statement."""

    def end(self, statement: SqlStatement, cursor: Any, *, is_many: bool) -> Tables:
        """Return the rows that it changed."""

    def settle(self) -> Tables:
        """Return the rows of the last statement that became known only later."""

    def fail(self, statement: SqlStatement, *, is_many: bool) -> Tables:
        """Return the rows that a statement changed before it failed, and drop what was prepared for it."""


class StatementCounts:
    """Counts the rows that the driver reports for a statement; ``note`` gets what it cannot tell."""

    def __init__(self, connection: BaseDatabaseWrapper, note: Callable[[str], None]) -> None:
        self.connection = connection
        self.note = note

    def begin(self, statement: SqlStatement, *, is_in_transaction: bool) -> None:
        if statement.verb is Verb.TRUNCATE:
            self.note(f"TRUNCATE has removed all rows of {statement.name}")
        elif statement.verb is Verb.OTHER:
            self.note(f"the rows that {statement.name} changes are not counted")

    def end(self, statement: SqlStatement, cursor: Any, *, is_many: bool) -> Tables:
        if statement.verb not in WRITES:
            return {}
        return self.counted(statement, self.row_count(statement, cursor))

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
                written=count if statement.verb is Verb.UPSERT else 0,
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

    def begin(self, statement: SqlStatement, *, is_in_transaction: bool) -> None:
        return None

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

    def _read_total(self) -> int:
        raw = self.connection.connection
        return 0 if raw is None else int(raw.total_changes)


class MysqlEffects(StatementCounts):
    """Says which tables have triggers or cascades, whose rows MySQL and MariaDB do not report."""

    _TRIGGERS: Final = (
        "SELECT EVENT_MANIPULATION FROM information_schema.TRIGGERS "
        "WHERE EVENT_OBJECT_SCHEMA = DATABASE() AND EVENT_OBJECT_TABLE = %s"
    )
    _CASCADES: Final = (
        "SELECT DELETE_RULE, UPDATE_RULE FROM information_schema.REFERENTIAL_CONSTRAINTS "
        "WHERE UNIQUE_CONSTRAINT_SCHEMA = DATABASE() AND REFERENCED_TABLE_NAME = %s"
    )

    def __init__(self, connection: BaseDatabaseWrapper, note: Callable[[str], None]) -> None:
        super().__init__(connection, note)
        self._causes: dict[str, dict[Verb, str]] = {}

    def begin(self, statement: SqlStatement, *, is_in_transaction: bool) -> None:
        super().begin(statement, is_in_transaction=is_in_transaction)
        if statement.verb is Verb.SCHEMA:
            self._causes.clear()
        elif statement.verb in WRITES:
            if statement.name not in self._causes:
                self._causes[statement.name] = self._find(statement.name)
            if cause := self._causes[statement.name].get(statement.verb):
                self.note(f"the rows that {cause} of {statement.name} change are not counted on {self._product}")

    def end(self, statement: SqlStatement, cursor: Any, *, is_many: bool) -> Tables:
        count = self.row_count(statement, cursor) if statement.verb in WRITES else 0
        # An updated row counts twice, unless the statement returns its rows.
        if statement.verb is Verb.UPSERT and count and getattr(cursor, "description", None) is None:
            self.note(f"{self._product} counts a row that was inserted or updated in {statement.name} once or twice")
            count = (count + 1) // 2
        return self.counted(statement, count)

    @property
    def _product(self) -> str:
        return str(getattr(self.connection, "display_name", "MySQL"))

    def _find(self, table: str) -> dict[Verb, str]:
        name = table.rpartition(".")[2]
        events = {row[0].upper() for row in self.fetch(self._TRIGGERS, (name,))}
        causes = {verb: "triggers" for verb in (Verb.INSERT, Verb.UPDATE, Verb.DELETE) if verb.value in events}
        if events & {"INSERT", "UPDATE"}:
            causes[Verb.UPSERT] = "triggers"
        for rules in self.fetch(self._CASCADES, (name,)):
            for verb, rule in zip((Verb.DELETE, Verb.UPDATE), rules, strict=True):
                if rule in {"CASCADE", "SET NULL", "SET DEFAULT"}:
                    causes[verb] = "cascades"
        return causes
