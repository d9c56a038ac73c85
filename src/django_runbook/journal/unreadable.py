"""Explains in one line why the rows of runs cannot be read or written."""

from __future__ import annotations

import contextlib
from typing import Any, Final

from django.db import Error, connections, models
from django.db.backends.base.base import BaseDatabaseWrapper

from django_runbook.exceptions import JournalLost
from django_runbook.models import Run, StepRun
from django_runbook.models.calls import Call, CallOutput

CANNOT_BE_READ: Final = "the journal cannot be read: "
OUTDATED: Final = "the tables of django_runbook are of another version (migrate updates them)"
# The models of the history.
HISTORY: Final[tuple[type[models.Model], ...]] = (Run, StepRun, Call, CallOutput)
_NO_TABLES: Final = "the tables of django_runbook do not exist (migrate creates them)"


def in_one_line(error: BaseException) -> str:
    """Return the message of a database error without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__


def has_no_tables(using: str) -> bool:
    """Return whether the database is available but lacks a table."""
    with contextlib.suppress(Error), connections[using].cursor() as cursor:
        return not {model._meta.db_table for model in HISTORY} <= set(
            connections[using].introspection.table_names(cursor)
        )
    return False


def is_outdated(using: str) -> bool:
    """Return whether the tables, which `has_no_tables` has found, are of another version: a column is missing."""
    with contextlib.suppress(Error), connections[using].cursor() as cursor:
        return any(lacks_columns(model, connections[using], cursor) for model in HISTORY)
    return False


def reason(error: Error, *, using: str) -> str:
    """Return the reason why the rows cannot be read."""
    return _state_of_tables(using) or in_one_line(error)


def refuse_other_tables(using: str) -> None:
    """Raise JournalLost if a table of the history is missing or of another version, before anything is changed."""
    if why := _state_of_tables(using):
        raise JournalLost(why, what=CANNOT_BE_READ)


def _state_of_tables(using: str) -> str:
    """Return what is wrong with the tables; empty if nothing is, or if the database is unavailable."""
    if has_no_tables(using):
        return _NO_TABLES
    return OUTDATED if is_outdated(using) else ""


def lacks_columns(model: type[models.Model], wrapper: BaseDatabaseWrapper, cursor: Any) -> bool:
    """Return whether the table of a model lacks one of its columns."""
    # Django's description of a table parses its definition on SQLite, which takes more time than the start of a run.
    cursor.execute(f"SELECT * FROM {wrapper.ops.quote_name(model._meta.db_table)} WHERE 1 = 0")  # noqa: S608 - our own table
    return not {one.column for one in model._meta.local_concrete_fields} <= {column[0] for column in cursor.description}
