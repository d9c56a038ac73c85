"""Reads and writes rows by cached SQL, because the ORM takes longer to build a statement than a database to run it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from django.db import connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

_Model = TypeVar("_Model", bound=models.Model)


def select(
    model: type[_Model], where: Mapping[str, Any], *, using: str, names: tuple[str, ...] | None = None
) -> list[_Model]:
    """Return the rows that match ``where``, whose tuples list possible values; only ``names`` are read, by default all.

    The other attributes of a row are read when they are used, as with `QuerySet.only`.
    """
    connection = connections[using]
    counts = tuple((name, len(value) if isinstance(value, tuple) else None) for name, value in where.items())
    statement, fields, asked = _select(model, names, counts, connection.vendor, using)
    values = [
        field.get_db_prep_save(one, connection=connection)
        for field, value in zip(asked, where.values(), strict=True)
        for one in (value if isinstance(value, tuple) else (value,))
    ]
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        rows = cursor.fetchall()
    attributes = [field.attname for field, _, _ in fields]
    return [model.from_db(using, attributes, _converted(row, fields, connection)) for row in rows]


def insert(row: models.Model, *, using: str) -> None:
    """Insert a row, as `Model.save` does but without signals; a key is generated if the model has generated keys."""
    connection = connections[using]
    statement, fields = _insert(type(row), connection.vendor, using)
    values = [one.get_db_prep_save(getattr(row, one.attname), connection=connection) for one in fields]
    table, key = row._meta.db_table, row._meta.pk
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        if _is_generated(key):
            is_returned = connection.features.can_return_columns_from_insert
            row.pk = (
                cursor.fetchone()[0] if is_returned else connection.ops.last_insert_id(cursor, table, str(key.column))
            )
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
def _select(
    model: type[models.Model],
    names: tuple[str, ...] | None,
    counts: tuple[tuple[str, int | None], ...],
    vendor: str,
    using: str,
) -> tuple[str, tuple[Any, ...], tuple[Any, ...]]:
    connection = connections[using]
    table = model._meta.db_table
    found: list[Any] = [one for one in model._meta.local_concrete_fields if names is None or one.name in names]
    asked: list[Any] = [model._meta.get_field(name) for name, _ in counts]
    conditions = [
        f"{_quoted(field, connection)} {'= %s' if count is None else _one_of(count)}"
        for field, (_, count) in zip(asked, counts, strict=True)
    ]
    columns = ", ".join(_quoted(one, connection) for one in found)
    statement = f"SELECT {columns} FROM {connection.ops.quote_name(table)} WHERE {' AND '.join(conditions)}"  # noqa: S608 - names of a model
    fields = []
    for one in found:
        column = one.get_col(table)
        converters = (*connection.ops.get_db_converters(column), *column.get_db_converters(connection))
        fields.append((one, column, converters))
    return statement, tuple(fields), tuple(asked)


def _one_of(count: int) -> str:
    return f"IN ({', '.join(['%s'] * count)})"


def _converted(row: tuple[Any, ...], fields: tuple[Any, ...], connection: BaseDatabaseWrapper) -> list[Any]:
    values = list(row)
    for number, (_, column, converters) in enumerate(fields):
        for convert in converters:
            values[number] = convert(values[number], column, connection)
    return values


def _is_generated(key: Any) -> bool:
    return isinstance(key, models.AutoField | models.BigAutoField)


@cache
def _insert(model: type[models.Model], vendor: str, using: str) -> tuple[str, tuple[Any, ...]]:
    connection = connections[using]
    key = model._meta.pk
    fields = tuple(one for one in model._meta.local_concrete_fields if one is not key or not _is_generated(key))
    columns = ", ".join(_quoted(one, connection) for one in fields)
    statement = f"INSERT INTO {connection.ops.quote_name(model._meta.db_table)} ({columns}) "
    statement += f"VALUES ({', '.join(['%s'] * len(fields))})"
    if _is_generated(key) and connection.features.can_return_columns_from_insert:
        statement += f" RETURNING {_quoted(key, connection)}"
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
