"""What a batch failed with to what can be done about it."""

from __future__ import annotations

import enum
import errno
import traceback
from dataclasses import dataclass
from typing import Any, Final

from django.core.management.base import CommandError
from django.db import (
    DatabaseError,
    InterfaceError,
    InternalError,
    NotSupportedError,
    OperationalError,
    ProgrammingError,
)

from django_runbook.exceptions import RunbookError


class Kind(enum.Enum):
    """TRANSIENT goes away by itself, ROW is a fault of a row, and FATAL would meet every row."""

    TRANSIENT = enum.auto()
    ROW = enum.auto()
    FATAL = enum.auto()


class ItemError(Exception):
    """An item failed, and it is known which: ``key`` is its cursor, ``before`` that of the item before it."""

    def __init__(self, *, before: str, key: str, index: int) -> None:
        super().__init__(key)
        self.before = before
        self.key = key
        self.index = index


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a row was left undone, for people."""

    key: str
    name: str
    error: str
    traceback: str = ""

    @classmethod
    def of(cls, error: BaseException, *, key: str, name: str) -> Failure:
        """The failure of a row."""
        text = "".join(traceback.format_exception(error))
        return cls(key=key, name=name, error=message(error), traceback=text)


def message(error: BaseException) -> str:
    """The kind of an error and what it says, in one line."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def origin(error: BaseException) -> BaseException:
    """What the work itself raised."""
    if isinstance(error, ItemError) and error.__cause__ is not None:
        return error.__cause__
    return error


def classify(error: BaseException) -> Kind:
    """What can be done about an error of a batch."""
    if isinstance(error, DatabaseError | InterfaceError):
        return _of_database(error)
    if isinstance(error, CommandError | RunbookError | MemoryError | NotImplementedError | RecursionError):
        # A CommandError is a command's own way to end.
        return Kind.FATAL
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS}:
        return Kind.FATAL
    return Kind.ROW


def _of_database(error: BaseException) -> Kind:
    cause: Any = error.__cause__ or error
    # The number comes first: drivers of MySQL give a state as well, which is mostly the general one.
    number = cause.args[0] if cause.args else None
    if isinstance(number, int) and number:
        return _of_table(number, transient=_TRANSIENT_MYSQL, fatal=_FATAL_MYSQL, error=error)
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    if state is not None:
        return _of_table(state, transient=_TRANSIENT_STATES, fatal=_FATAL_STATES, error=error)
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        # The lower byte is the error, the others its variety.
        return _of_table(code & 0xFF, transient=_TRANSIENT_SQLITE, fatal=_FATAL_SQLITE, error=error)
    if isinstance(error, OperationalError | InterfaceError):
        # A connection that is gone has no code.
        return Kind.TRANSIENT
    return _by_class(error)


def _of_table(code: Any, *, transient: frozenset[Any], fatal: frozenset[Any], error: BaseException) -> Kind:
    if code in transient or (isinstance(code, str) and code[:2] in transient):
        return Kind.TRANSIENT
    if code in fatal or (isinstance(code, str) and code[:2] in fatal):
        return Kind.FATAL
    return _by_class(error)


def _by_class(error: BaseException) -> Kind:
    return Kind.FATAL if isinstance(error, ProgrammingError | NotSupportedError | InternalError) else Kind.ROW


_TRANSIENT_STATES: Final = frozenset(
    {
        "08",  # the connection is gone
        "40001",  # serialization failure
        "40P01",  # deadlock
        "55P03",  # lock timeout
        "57P01",  # terminated by an administrator
        "57P02",  # the server crashed
        "57P03",  # the server is starting
        "57P05",  # idle for too long
        "25P03",  # idle in its transaction for too long
        "25P04",  # its transaction took too long
        "57014",  # statement timeout: half of the rows may pass
        "53300",  # too many connections
    }
)
_FATAL_STATES: Final = frozenset(
    {
        "53",  # no disk, no memory
        "58",  # a fault of the system
        "25006",  # the transaction is read-only
        "42",  # the statement is wrong, or not allowed
        "XX",  # a fault of the server
    }
)
# SQLITE_BUSY, SQLITE_LOCKED
_TRANSIENT_SQLITE: Final = frozenset({5, 6})
# SQLITE_ERROR (the statement is wrong), SQLITE_PERM, _NOMEM, _READONLY, _IOERR, _CORRUPT, _FULL, _CANTOPEN, _NOTADB
_FATAL_SQLITE: Final = frozenset({1, 3, 7, 8, 10, 11, 13, 14, 26})
_TRANSIENT_MYSQL: Final = frozenset(
    {
        1020,  # the record has changed since it was read
        1040,  # too many connections
        1053,  # the server shuts down
        1158,  # network errors
        1159,
        1160,
        1161,
        1205,  # lock wait timeout
        1213,  # deadlock
        1317,  # the query was interrupted
        1927,  # the connection was killed
        1969,  # the statement took too long
        2002,  # the connection is gone
        2003,
        2006,
        2013,
        2055,
        3024,  # the statement took too long
        3572,  # NOWAIT
        4031,  # idle for too long
    }
)
_FATAL_MYSQL: Final = frozenset(
    {
        1021,  # the disk is full
        1030,  # a fault of the storage
        1037,  # no memory
        1041,
        1044,  # not allowed
        1045,
        1064,  # the statement is wrong
        1114,  # the table is full
        1142,
        1290,  # the server is read-only
        1792,  # the transaction is read-only
        1836,
    }
)
