"""Runs single SQL statements."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper


def execute(connection: BaseDatabaseWrapper, statement: str) -> None:
    """Execute a statement without a result."""
    with connection.cursor() as cursor:
        cursor.execute(statement)


def fetch_value(connection: BaseDatabaseWrapper, query: str) -> Any:
    """Return the single value of a query."""
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0]
