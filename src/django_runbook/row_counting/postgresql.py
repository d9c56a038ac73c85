"""Counts rows on PostgreSQL: by the statement, or by the statistics of the transaction if the statement may do more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django.db.backends.base.base import BaseDatabaseWrapper

from django_runbook.row_account import TableCounts
from django_runbook.row_counting.effects import StatementCounts
from django_runbook.row_counting.ledger import Tables
from django_runbook.row_counting.statement_text import WRITES, SqlStatement, Verb
from django_runbook.structs import Struct

# The statistics hold what earlier transactions have not reported yet, and what was rolled back to a savepoint: only a
# difference around one statement is right. The rows of partitions count for their table.
_STATISTICS: Final = """
SELECT CASE WHEN pg_table_is_visible(r.oid) THEN r.relname::text ELSE n.nspname || '.' || r.relname END,
    sum(s.inserted)::bigint, sum(s.updated)::bigint, sum(s.deleted)::bigint
FROM (
    SELECT COALESCE(pg_partition_root(oid)::oid, oid) AS root, pg_stat_get_xact_tuples_inserted(oid) AS inserted,
        pg_stat_get_xact_tuples_updated(oid) AS updated, pg_stat_get_xact_tuples_deleted(oid) AS deleted
    FROM pg_class WHERE relkind = 'r' AND relpersistence <> 't' AND oid >= 16384
) s JOIN pg_class r ON r.oid = s.root JOIN pg_namespace n ON n.oid = r.relnamespace
WHERE s.inserted + s.updated + s.deleted > 0 GROUP BY 1
UNION ALL SELECT '', current_setting('track_counts')::bool::int, 0, 0
"""
# The events of triggers are bits of tgtype.
_TABLE: Final = """
SELECT c.relkind <> 'r' OR c.relhasrules OR c.relhassubclass,
    COALESCE((SELECT bit_or(tgtype::int) FROM pg_trigger
        WHERE tgrelid = c.oid AND NOT tgisinternal AND tgenabled <> 'D'), 0),
    EXISTS (SELECT 1 FROM pg_trigger
        WHERE tgrelid = c.oid AND NOT tgisinternal AND tgenabled <> 'D' AND tgdeferrable),
    EXISTS (SELECT 1 FROM pg_constraint
        WHERE contype = 'f' AND confrelid = c.oid AND confdeltype IN ('c', 'n', 'd')),
    EXISTS (SELECT 1 FROM pg_constraint
        WHERE contype = 'f' AND confrelid = c.oid AND confupdtype IN ('c', 'n', 'd'))
FROM pg_class c WHERE c.oid = to_regclass(%s)
"""
# A transaction in which a statement has failed.
_IN_ERROR: Final = 3
_EVENTS: Final = {Verb.INSERT: 4, Verb.UPSERT: 4 | 16, Verb.UPDATE: 16, Verb.DELETE: 8}


# Those that are not declared STABLE or IMMUTABLE.
_FUNCTIONS: Final = """
SELECT DISTINCT p.proname FROM pg_proc p JOIN pg_language l ON l.oid = p.prolang
WHERE p.provolatile = 'v' AND p.prokind = 'f' AND l.lanname NOT IN ('internal', 'c')
    AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype) AND p.oid >= 16384
"""


class _TableRisks(Struct):
    """Holds which statements on a table may change rows of other tables, or of its partitions."""

    verbs: frozenset[Verb]
    has_deferred: bool = False


class PostgresqlEffects(StatementCounts):
    """Measures statements that may have further effects by the statistics of their transaction."""

    functions_query = _FUNCTIONS

    def __init__(self, connection: BaseDatabaseWrapper, note: Callable[[str], None]) -> None:
        super().__init__(connection, note)
        self._tables: dict[str, _TableRisks] = {}
        self._before: Tables | None = None

    @property
    def has_failed(self) -> bool:
        """Return whether the open transaction can only be rolled back, also by its commit."""
        raw: Any = self.connection.connection
        return raw is not None and not raw.closed and int(raw.info.transaction_status) == _IN_ERROR

    def begin(self, statement: SqlStatement, *, is_in_transaction: bool) -> None:
        self._before = None
        if self.has_failed:
            # The database refuses all but a rollback.
            return
        if statement.verb is Verb.SCHEMA:
            self._tables.clear()
            self._functions = None
        elif statement.verb is Verb.OTHER:
            self._before = self._statistics() if is_in_transaction else None
            if self._before is None:
                why = "without track_counts" if is_in_transaction else "outside of a transaction"
                self.note(f"the rows that {statement.name} changes {why} are not counted")
        elif statement.verb in WRITES:
            self._prepare(statement, is_in_transaction=is_in_transaction)
        else:
            super().begin(statement, is_in_transaction=is_in_transaction)

    def end(self, statement: SqlStatement, cursor: Any, *, is_many: bool) -> Tables:
        before, self._before = self._before, None
        # A query that returns no rows has written them into a new table.
        if statement.verb is Verb.READ and statement.name and cursor.description is None:
            return self.filled(statement, cursor)
        after = None if before is None else self._statistics()
        if before is None or after is None:
            return super().end(statement, cursor, is_many=is_many)
        return {
            name: counts
            for name, found in after.items()
            if (counts := _difference(found, before.get(name, TableCounts()))).sum
        }

    def fail(self, statement: SqlStatement, *, is_many: bool) -> Tables:
        self._before = None
        # An error ends the transaction: nothing of it is committed.
        is_over = self.connection.in_atomic_block or self.has_failed
        return {} if is_over else super().fail(statement, is_many=is_many)

    def _prepare(self, statement: SqlStatement, *, is_in_transaction: bool) -> None:
        name = statement.name
        if name not in self._tables:
            self._tables[name] = self._find(name)
        table = self._tables[name]
        if table.has_deferred:
            self.note(f"the rows that deferred triggers of {name} change are not counted")
        if statement.verb not in table.verbs:
            return
        if is_in_transaction:
            self._before = self._statistics()
        if self._before is None and (statement.verb is not Verb.UPSERT or len(table.verbs) > 1):
            why = "without track_counts" if is_in_transaction else "outside of a transaction"
            self.note(f"the rows that triggers, cascades or rules of {name} change {why} are not counted")

    def _find(self, name: str) -> _TableRisks:
        quoted = ".".join(self.connection.ops.quote_name(part) for part in name.split("."))
        found = self.fetch(_TABLE, (quoted,))
        if not found:
            return _TableRisks(verbs=frozenset())
        is_special, events, has_deferred, deletes, updates = found[0]
        # The statistics also tell which rows of an upsert were inserted.
        verbs = {Verb.UPSERT} | {verb for verb, bits in _EVENTS.items() if is_special or events & bits}
        verbs |= ({Verb.DELETE} if deletes else set()) | ({Verb.UPDATE} if updates else set())
        return _TableRisks(verbs=frozenset(verbs), has_deferred=has_deferred)

    def _statistics(self) -> Tables | None:
        """Return the counts of each table so far; None without track_counts, which can be set at any time."""
        found = {
            name: TableCounts(inserted=int(inserted), updated=int(updated), deleted=int(deleted))
            for name, inserted, updated, deleted in self.fetch(_STATISTICS)
        }
        return found if found.pop("").inserted else None


def _difference(after: TableCounts, before: TableCounts) -> TableCounts:
    return TableCounts(
        inserted=after.inserted - before.inserted,
        updated=after.updated - before.updated,
        deleted=after.deleted - before.deleted,
    )
