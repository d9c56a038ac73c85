"""Single statements to what a connection says to them."""

from __future__ import annotations

from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper


def run(connection: BaseDatabaseWrapper, statement: str) -> None:
    """Have a statement run that answers nothing."""
    with connection.cursor() as cursor:
        cursor.execute(statement)


def ask(connection: BaseDatabaseWrapper, query: str) -> Any:
    """The one value that a query gives."""
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetchone()[0]
