"""Classifies the errors of a batch: transient, row or fatal."""

from __future__ import annotations

import enum
import errno
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

from django_runbook.exceptions import RunbookError, in_words
from django_runbook.process.failures import traceback_of
from django_runbook.structs import Struct


class ErrorKind(enum.Enum):
    """Distinguishes errors to retry (TRANSIENT), errors of one row (ROW) and errors of every row (FATAL)."""

    TRANSIENT = enum.auto()
    ROW = enum.auto()
    FATAL = enum.auto()


class ItemError(Exception):
    """Identifies the item that failed: ``key`` is its cursor, ``before`` the cursor of the item before it."""

    def __init__(self, *, before: str, key: str, index: int) -> None:
        super().__init__(key)
        self.before = before
        self.key = key
        self.index = index


class RowFailure(Struct):
    """Describes why a row failed."""

    key: str
    name: str
    error: str
    traceback: str = ""

    @classmethod
    def of(cls, error: BaseException, *, key: str, name: str) -> RowFailure:
        """Build the failure of a row from its error."""
        return cls(key=key, name=name, error=in_words(error), traceback=traceback_of(error))


def origin(error: BaseException) -> BaseException:
    """Return the error that the work itself raised."""
    if isinstance(error, ItemError) and error.__cause__ is not None:
        return error.__cause__
    return error


def classify(error: BaseException) -> ErrorKind:
    """Return whether to retry, to record a row as failed, or to stop."""
    if isinstance(error, DatabaseError | InterfaceError):
        return _of_database(error)
    if isinstance(error, CommandError | RunbookError | MemoryError | NotImplementedError | RecursionError):
        # A command raises CommandError to end itself.
        return ErrorKind.FATAL
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EROFS}:
        return ErrorKind.FATAL
    return ErrorKind.ROW


def is_lock_wait(error: BaseException) -> bool:
    """Return whether another transaction held a lock for too long, or had to be chosen over this one."""
    cause: Any = error.__cause__ or error
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        return code & 0xFF in _TRANSIENT_SQLITE
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    return state in _LOCK_WAIT_STATES or (bool(cause.args) and cause.args[0] in _LOCK_WAIT_MYSQL)


def _of_database(error: BaseException) -> ErrorKind:
    cause: Any = error.__cause__ or error
    # The number comes first: MySQL drivers set a state as well, which is mostly the general one.
    number = cause.args[0] if cause.args else None
    if isinstance(number, int) and number:
        return _of_table(number, transient=_TRANSIENT_MYSQL, fatal=_FATAL_MYSQL, error=error)
    state = getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None)
    if state is not None:
        return _of_table(state, transient=_TRANSIENT_STATES, fatal=_FATAL_STATES, error=error)
    code = getattr(cause, "sqlite_errorcode", None)
    if code is not None:
        # The lowest byte is the primary error code.
        return _of_table(code & 0xFF, transient=_TRANSIENT_SQLITE, fatal=_FATAL_SQLITE, error=error)
    if isinstance(error, OperationalError | InterfaceError):
        # A lost connection has no code.
        return ErrorKind.TRANSIENT
    return _by_class(error)


def _of_table(code: Any, *, transient: frozenset[Any], fatal: frozenset[Any], error: BaseException) -> ErrorKind:
    if code in transient or (isinstance(code, str) and code[:2] in transient):
        return ErrorKind.TRANSIENT
    if code in fatal or (isinstance(code, str) and code[:2] in fatal):
        return ErrorKind.FATAL
    return _by_class(error)


def _by_class(error: BaseException) -> ErrorKind:
    return ErrorKind.FATAL if isinstance(error, ProgrammingError | NotSupportedError | InternalError) else ErrorKind.ROW


_TRANSIENT_STATES: Final = frozenset(
    {
        "08",  # connection lost
        "40001",  # serialization failure
        "40P01",  # deadlock
        "55P03",  # lock timeout
        "57P01",  # terminated by an administrator
        "57P02",  # crash of the server
        "57P03",  # server is starting
        "57P05",  # idle session timeout
        "25P03",  # idle in transaction timeout
        "25P04",  # transaction timeout
        "57014",  # statement timeout: half of the rows may fit
        "53300",  # too many connections
    }
)
_FATAL_STATES: Final = frozenset(
    {
        "53",  # out of disk or memory
        "58",  # system error
        "25006",  # read-only transaction
        "42",  # invalid or forbidden statement
        "XX",  # internal error of the server
    }
)
# Serialization failure, deadlock, lock timeout.
_LOCK_WAIT_STATES: Final = frozenset({"40001", "40P01", "55P03"})
# Lock wait timeout, deadlock.
_LOCK_WAIT_MYSQL: Final = frozenset({1205, 1213})
# SQLITE_BUSY, SQLITE_LOCKED
_TRANSIENT_SQLITE: Final = frozenset({5, 6})
# SQLITE_ERROR (invalid statement), SQLITE_PERM, _NOMEM, _READONLY, _IOERR, _CORRUPT, _FULL, _CANTOPEN, _NOTADB
_FATAL_SQLITE: Final = frozenset({1, 3, 7, 8, 10, 11, 13, 14, 26})
_TRANSIENT_MYSQL: Final = frozenset(
    {
        1020,  # record changed since it was read
        1040,  # too many connections
        1053,  # server shutdown
        1158,  # network errors
        1159,
        1160,
        1161,
        1205,  # lock wait timeout
        1213,  # deadlock
        1317,  # query interrupted
        1927,  # connection killed
        1969,  # statement timeout
        2002,  # connection lost
        2003,
        2006,
        2013,
        2055,
        3024,  # statement timeout
        3572,  # NOWAIT
        4031,  # idle timeout
    }
)
_FATAL_MYSQL: Final = frozenset(
    {
        1021,  # disk full
        1030,  # storage engine error
        1037,  # out of memory
        1041,
        1044,  # access denied
        1045,
        1064,  # invalid statement
        1114,  # table full
        1142,
        1290,  # read-only server
        1792,  # read-only transaction
        1836,
    }
)
