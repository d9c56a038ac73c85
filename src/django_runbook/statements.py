"""Writes rows by cached SQL statements, because the ORM takes longer to build a statement than a database to run it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper


def insert(row: models.Model, *, using: str) -> None:
    """Insert a row with a generated key, as `Model.save` does but without signals."""
    connection = connections[using]
    statement, fields = _insert(type(row), connection.vendor, using)
    values = [one.get_db_prep_save(getattr(row, one.attname), connection=connection) for one in fields]
    table, key = row._meta.db_table, row._meta.pk
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        if connection.features.can_return_columns_from_insert:
            row.pk = cursor.fetchone()[0]
        else:
            row.pk = connection.ops.last_insert_id(cursor, table, str(key.column))
    row._state.adding, row._state.db = False, using


def update(row: models.Model, changes: Mapping[str, Any], where: Mapping[str, Any], *, using: str) -> bool:
    """Update the row if it matches ``where``, and return whether it did."""
    connection = connections[using]
    statement, fields = _update(type(row), (tuple(changes), tuple(where)), connection.vendor, using)
    given = (*changes.values(), *where.values())
    values = [one.get_db_prep_save(value, connection=connection) for one, value in zip(fields, given, strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return bool(cursor.rowcount > 0)


# The vendor is part of the key because tests use an alias for several databases.
@cache
def _insert(model: type[models.Model], vendor: str, using: str) -> tuple[str, tuple[Any, ...]]:
    connection = connections[using]
    fields = tuple(one for one in model._meta.local_concrete_fields if not one.primary_key)
    columns = ", ".join(_quoted(one, connection) for one in fields)
    statement = f"INSERT INTO {connection.ops.quote_name(model._meta.db_table)} ({columns}) "
    statement += f"VALUES ({', '.join(['%s'] * len(fields))})"
    if connection.features.can_return_columns_from_insert:
        statement += f" RETURNING {_quoted(model._meta.pk, connection)}"
    return statement, fields


@cache
def _update(
    model: type[models.Model], names: tuple[tuple[str, ...], tuple[str, ...]], vendor: str, using: str
) -> tuple[str, tuple[Any, ...]]:
    connection = connections[using]
    changed: list[Any]
    asked: list[Any]
    changed, asked = ([model._meta.get_field(name) for name in some] for some in names)
    set_to = ", ".join(f"{_quoted(one, connection)} = %s" for one in changed)
    where = " AND ".join(f"{_quoted(one, connection)} = %s" for one in asked)
    table = connection.ops.quote_name(model._meta.db_table)
    statement = f"UPDATE {table} SET {set_to} WHERE {where}"  # noqa: S608 - names of a model
    return statement, (*changed, *asked)


def _quoted(field: Any, connection: BaseDatabaseWrapper) -> str:
    return connection.ops.quote_name(str(field.column))
