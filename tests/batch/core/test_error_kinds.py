"""Tests which errors are retried, recorded or fatal."""

from __future__ import annotations

import errno
from typing import Any

import pytest
from django.core.management.base import CommandError
from django.db import (
    DatabaseError,
    DataError,
    IntegrityError,
    InterfaceError,
    InternalError,
    OperationalError,
    ProgrammingError,
)

from django_runbook.batch.core.error_kinds import ErrorKind, classify
from django_runbook.exceptions import LockLost, in_words


def caused(error: Exception, **values: Any) -> Exception:
    cause = Exception(*values.pop("args", ()))
    for name, value in values.items():
        setattr(cause, name, value)
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (caused(OperationalError(), sqlstate="40P01"), ErrorKind.TRANSIENT),
        (caused(OperationalError(), sqlstate="08006"), ErrorKind.TRANSIENT),
        (caused(InternalError(), sqlstate="25P03"), ErrorKind.TRANSIENT),
        (caused(OperationalError(), sqlstate="57014"), ErrorKind.TRANSIENT),
        (caused(OperationalError(), sqlstate="53100"), ErrorKind.FATAL),
        (caused(OperationalError(), sqlstate="53300"), ErrorKind.TRANSIENT),
        (caused(ProgrammingError(), sqlstate="42P01"), ErrorKind.FATAL),
        (caused(IntegrityError(), sqlstate="23505"), ErrorKind.ROW),
        (caused(DataError(), sqlstate="22001"), ErrorKind.ROW),
        (caused(OperationalError(), sqlite_errorcode=5), ErrorKind.TRANSIENT),
        (caused(OperationalError(), sqlite_errorcode=261), ErrorKind.TRANSIENT),
        (caused(OperationalError(), sqlite_errorcode=13), ErrorKind.FATAL),
        (caused(OperationalError(), sqlite_errorcode=778), ErrorKind.FATAL),
        (caused(IntegrityError(), sqlite_errorcode=2067), ErrorKind.ROW),
        (caused(OperationalError(), args=(1213, "Deadlock found"), sqlstate="HY000"), ErrorKind.TRANSIENT),
        (caused(OperationalError(), args=(2013, "Lost connection")), ErrorKind.TRANSIENT),
        (caused(OperationalError(), args=(1114, "The table is full")), ErrorKind.FATAL),
        (caused(IntegrityError(), args=(1062, "Duplicate entry")), ErrorKind.ROW),
        (caused(OperationalError(), args=("the connection is lost",)), ErrorKind.TRANSIENT),
        (InterfaceError("connection already closed"), ErrorKind.TRANSIENT),
        (DatabaseError("Save with update_fields did not affect any rows."), ErrorKind.ROW),
        (ValueError("bad"), ErrorKind.ROW),
        (CommandError("that was it"), ErrorKind.FATAL),
        (LockLost("gone"), ErrorKind.FATAL),
        (OSError(errno.ENOSPC, "No space left on device"), ErrorKind.FATAL),
        (OSError(errno.ENOENT, "No such file"), ErrorKind.ROW),
        (MemoryError(), ErrorKind.FATAL),
    ],
    ids=lambda value: "" if isinstance(value, ErrorKind) else None,
)
def test_an_error_is_transient_or_of_a_row_or_fatal(error: Exception, kind: ErrorKind) -> None:
    assert classify(error) is kind


def test_a_message_is_one_line() -> None:
    assert in_words(ValueError("a\nb")) == "ValueError: a b"
    assert in_words(KeyError()) == "KeyError"
