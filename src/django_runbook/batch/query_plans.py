"""Reads what a database plans for the query of a batch, and warns where it would not walk along an index."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from django.db.backends.base.base import BaseDatabaseWrapper

from django_runbook.batch.django_compat import compared_columns, joined_columns
from django_runbook.batch.sources.queryset_source import QuerySetSource
from django_runbook.structs import Struct

# A smaller table is read as a whole, whatever its indexes.
_SMALL: Final = 10_000
# With AUTOMATIC, SQLite builds an index for this one query.
_SQLITE_SCAN: Final = re.compile(
    r"\bSCAN (?:TABLE )?(?P<table>\S+)$|\bSEARCH (?:TABLE )?(?P<built>\S+) USING AUTOMATIC\b", re.MULTILINE
)
_SQLITE_SORT: Final = "USE TEMP B-TREE FOR ORDER BY"


class AskDatabase(Protocol):
    """Returns the answer of a database; None if it takes too long."""

    def __call__(self, connection: BaseDatabaseWrapper, question: Callable[[], Any], /) -> Any: ...


class QueryPlan(Struct):
    """Holds the tables that a query reads as a whole, by name or alias, and whether it sorts its rows."""

    scans: tuple[str, ...] = ()
    sorts: bool = False


def plan_warnings(
    connection: BaseDatabaseWrapper,
    source: QuerySetSource,
    *,
    after: str,
    size: int,
    ask: AskDatabase,
) -> Iterator[str]:
    """Yield what makes each batch slower than a walk along an index."""
    if connection.vendor not in _READERS:
        return
    # The query of a batch in the middle; without a lower bound if even the first row takes too long to find.
    low = ask(connection, lambda: source.first_after(after)) or after
    query = source.key.between(source.searched, low, "")[size - 1 : size]
    plan = ask(connection, lambda: _READERS[connection.vendor](query))
    if plan is None:
        return
    tables = _tables_of(query)
    for alias in dict.fromkeys(plan.scans):
        table = tables.get(alias, alias)
        if _is_big(connection, table, ask):
            yield f"each batch reads the whole table {table}; {_missing(query, table, source)}"
    if plan.sorts and _is_big(connection, source.table, ask):
        yield f"each batch sorts the remaining rows of {source.table}; {_missing(query, source.table, source)}"


def guess_count(connection: BaseDatabaseWrapper, rows: Any) -> int | None:
    """Return how many rows the planner of PostgreSQL expects; None for other databases."""
    if connection.vendor != "postgresql":
        return None
    return int(_explained(rows.order_by())[0]["Plan"]["Plan Rows"])


def _missing(query: Any, table: str, source: QuerySetSource) -> str:
    if table == source.table:
        columns = dict.fromkeys((*compared_columns(query), *source.key.columns))
    else:
        columns = dict.fromkeys(joined_columns(query, table))
    named = f" on ({', '.join(columns)})" if columns else " on the columns of its condition"
    return f"an index{named} is missing or unused"


def _is_big(connection: BaseDatabaseWrapper, table: str, ask: AskDatabase) -> bool:
    quoted = connection.ops.quote_name(table)

    def fetch() -> bool:
        with connection.cursor() as cursor:
            if table not in connection.introspection.table_names(cursor):
                # The result of a subquery.
                return False
            # A queryset of few rows may read a big table.
            cursor.execute(f"SELECT 1 FROM {quoted} LIMIT 1 OFFSET {_SMALL - 1}")  # noqa: S608 - a quoted name
            return cursor.fetchone() is not None

    return ask(connection, fetch) is not False


def _tables_of(query: Any) -> dict[str, str]:
    """Return the table of each alias, also of those in subqueries."""
    text = query.query.get_compiler(query.db).as_sql()[0]
    found = re.findall(r'(?:FROM|JOIN|,)\s+["`]?([^"`\s(),]+)["`]?\s+(?:AS\s+)?["`]?(\w+)', text, re.IGNORECASE)
    return {alias: table for table, alias in found}


def _read_sqlite(query: Any) -> QueryPlan:
    text = query.explain()
    scans = (found["table"] or found["built"] for found in _SQLITE_SCAN.finditer(text))
    return QueryPlan(scans=tuple(scans), sorts=_SQLITE_SORT in text)


def _read_postgresql(query: Any) -> QueryPlan:
    nodes = list(_objects_in(_explained(query)))
    kinds = {node.get("Node Type") for node in nodes}
    # An incremental sort walks along an index on the first columns.
    scans = tuple(node["Relation Name"] for node in nodes if node.get("Node Type") == "Seq Scan")
    return QueryPlan(scans=scans, sorts="Sort" in kinds)


def _read_mysql(query: Any) -> QueryPlan:
    nodes = list(_objects_in(_explained(query)))
    scans = tuple(
        node["table_name"] for node in nodes if node.get("access_type") == "ALL" and not _is_derived(node["table_name"])
    )
    # MariaDB has an object for each sort, MySQL a key.
    sorts = any("filesort" in node or node.get("using_filesort") is True for node in nodes)
    return QueryPlan(scans=scans, sorts=sorts)


def _explained(query: Any) -> Any:
    value = json.loads(query.explain(format="json"))
    # A driver that returns JSON as text has it quoted once more by Django.
    return json.loads(value) if isinstance(value, str) else value


def _is_derived(name: str) -> bool:
    return name.startswith("<")


def _objects_in(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for inner in value.values():
            yield from _objects_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _objects_in(inner)


_READERS: Final[dict[str, Callable[[Any], QueryPlan]]] = {
    "sqlite": _read_sqlite,
    "postgresql": _read_postgresql,
    "mysql": _read_mysql,
}
