"""Wraps the private APIs of Django that the batch library uses; a test checks each of them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.db.backends.base.base import BaseDatabaseWrapper
    from django.db.models import QuerySet

    Rows = QuerySet[Any]


def is_in_foreign_transaction(connection: BaseDatabaseWrapper) -> bool:
    """Return whether a transaction is open, other than those that Django's TestCase wraps around each test."""
    blocks: Iterable[Any] = connection.atomic_blocks
    return any(not block._from_testcase for block in blocks)


def copy_of(rows: Rows) -> Rows:
    """Return a copy of a queryset that keeps its prefetches and other state, as each method of a queryset does."""
    copy: Rows = rows._chain()  # type: ignore[attr-defined]  # the stubs do not have it
    return copy


def cached_rows(rows: Rows) -> list[Any] | None:
    """Return the rows of a queryset if it has been evaluated."""
    return rows._result_cache


def gives_values(rows: Rows) -> bool:
    """Return whether a queryset gives values() instead of model instances."""
    return getattr(rows, "_fields", None) is not None


def has_joins(rows: Rows) -> bool:
    """Return whether a query joins tables, so that it can return a row several times."""
    return len(rows.query.alias_map) > 1


def uses_window(rows: Rows) -> bool:
    """Return whether a query filters by a window function or selects one."""
    query: Any = rows.query
    selected = query.annotation_select.values()
    return bool(query.where.contains_over_clause or any(annotation.contains_over_clause for annotation in selected))


def load_fields(rows: Rows, fields: Iterable[Any]) -> None:
    """Load these fields with the rows, even if only() or defer() excludes them."""
    query = rows.query
    names, is_deferred = query.deferred_loading
    listed = list(fields)
    if names and is_deferred:
        query.deferred_loading = (
            frozenset(names) - {name for one in listed for name in (one.name, one.attname)},
            True,
        )
    elif names:
        query.deferred_loading = (frozenset(names) | {one.name for one in listed}, False)


def compared_columns(rows: Rows) -> list[str]:
    """Return the columns of the table that the conditions of a query compare with single values."""
    where, base = rows.query.where, rows.query.base_table
    if where.connector != "AND" or where.negated:
        return []
    found = []
    for condition in where.children:
        side: Any = getattr(condition, "lhs", None)
        name = getattr(condition, "lookup_name", "")
        if name in {"exact", "isnull", "in"} and getattr(side, "alias", None) == base and hasattr(side, "target"):
            found.append(str(side.target.column))
    return found


def joined_columns(rows: Rows, table: str) -> list[str]:
    """Return the columns by which a query joins a table."""
    joins: Iterable[Any] = rows.query.alias_map.values()
    pairs = (pair for join in joins if join.table_name == table for pair in getattr(join, "join_cols", ()))
    return [str(own) for _, own in pairs]
