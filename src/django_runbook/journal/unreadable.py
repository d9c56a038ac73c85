"""Explains in one line why the rows of runs cannot be read or written."""

from __future__ import annotations

import contextlib
from typing import Final

from django.db import Error, connections

from django_runbook.models import Run

CANNOT_BE_READ: Final = "the journal cannot be read: "
_NO_TABLES: Final = "the tables of django_runbook do not exist (migrate creates them)"


def in_one_line(error: BaseException) -> str:
    """Return the message of a database error without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__


def has_no_tables(using: str) -> bool:
    """Return whether the database is available but lacks the tables."""
    with contextlib.suppress(Error), connections[using].cursor() as cursor:
        return Run._meta.db_table not in connections[using].introspection.table_names(cursor)
    return False


def reason(error: Error, *, using: str) -> str:
    """Return the reason why the rows cannot be read."""
    return _NO_TABLES if has_no_tables(using) else in_one_line(error)
