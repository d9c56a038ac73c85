"""Counts the rows that Django would delete together with others, by queries that load none of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final

from django.db import models

# Each level is a query inside of a query.
_MAX_DEPTH: Final = 4
# Django 6.1 lets the database cascade.
_CASCADES: Final = frozenset(("CASCADE", "DB_CASCADE"))


def count_cascades(rows: Any, count: Callable[[Any], int | None]) -> dict[str, int | None]:
    """Return the number of rows of each other table that goes with these; None for what ``count`` gives up."""
    found: dict[str, int | None] = {}
    for related in _related(rows, (rows.model,)):
        table, number = related.model._meta.db_table, count(related)
        before = found.get(table, 0)
        found[table] = None if number is None or before is None else before + number
    return {table: number for table, number in found.items() if number != 0}


def _related(rows: Any, path: tuple[type[models.Model], ...]) -> Iterator[Any]:
    for relation in rows.model._meta.get_fields(include_hidden=True):
        if not (relation.auto_created and not relation.concrete and (relation.one_to_one or relation.one_to_many)):
            continue
        if getattr(relation.on_delete, "__name__", type(relation.on_delete).__name__) not in _CASCADES:
            continue
        model = relation.related_model
        keys = rows.order_by().values(relation.field.target_field.attname)
        related = model._base_manager.using(rows.db).filter(**{f"{relation.field.name}__in": keys})
        if model is rows.model:
            # A row of a tree may be among the others itself.
            yield related.exclude(pk__in=rows.order_by().values("pk"))
        elif model not in path and len(path) < _MAX_DEPTH:
            yield related
            yield from _related(related, (*path, model))
