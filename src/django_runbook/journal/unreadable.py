"""Explains in one line why the rows of runs cannot be read or written."""

from __future__ import annotations

import contextlib
from typing import Any, Final

from django.db import Error, connections

from django_runbook.models import Run, StepRun

CANNOT_BE_READ: Final = "the journal cannot be read: "
OUTDATED: Final = "the tables of django_runbook are of another version (migrate updates them)"
_MODELS: Final[tuple[type[Run | StepRun], ...]] = (Run, StepRun)
_NO_TABLES: Final = "the tables of django_runbook do not exist (migrate creates them)"


def in_one_line(error: BaseException) -> str:
    """Return the message of a database error without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__


def has_no_tables(using: str) -> bool:
    """Return whether the database is available but lacks a table."""
    with contextlib.suppress(Error), connections[using].cursor() as cursor:
        return not {model._meta.db_table for model in _MODELS} <= set(_names(using, cursor))
    return False


def is_outdated(using: str) -> bool:
    """Return whether the database has the tables, but of another version: a column is missing."""
    with contextlib.suppress(Error), connections[using].cursor() as cursor:
        return not has_no_tables(using) and any(_lacks_columns(model, using, cursor) for model in _MODELS)
    return False


def reason(error: Error, *, using: str) -> str:
    """Return the reason why the rows cannot be read."""
    if has_no_tables(using):
        return _NO_TABLES
    return OUTDATED if is_outdated(using) else in_one_line(error)


def _names(using: str, cursor: Any) -> list[str]:
    return connections[using].introspection.table_names(cursor)


def _lacks_columns(model: type[Run | StepRun], using: str, cursor: Any) -> bool:
    found = connections[using].introspection.get_table_description(cursor, model._meta.db_table)
    return not {one.column for one in model._meta.local_concrete_fields} <= {column.name for column in found}
