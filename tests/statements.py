"""Visits the points around each SQL statement and each commit of a process and its forks."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.utils import CursorWrapper


class Point(enum.Enum):
    BEFORE_STATEMENT = enum.auto()
    AFTER_STATEMENT = enum.auto()
    BEFORE_COMMIT = enum.auto()
    AFTER_COMMIT = enum.auto()


def visit_points(visit: Callable[[BaseDatabaseWrapper, Point], None]) -> None:
    """Call ``visit`` at each point from now on, in each thread; it may raise, or end the process."""
    wrapper: Any = CursorWrapper
    base: Any = BaseDatabaseWrapper
    execute, execute_many, commit = wrapper._execute, wrapper._executemany, base._commit

    def around(method: Callable[..., Any], cursor: Any, *args: Any) -> Any:
        visit(cursor.db, Point.BEFORE_STATEMENT)
        result = method(cursor, *args)
        visit(cursor.db, Point.AFTER_STATEMENT)
        return result

    def commit_between(connection: BaseDatabaseWrapper) -> None:
        visit(connection, Point.BEFORE_COMMIT)
        commit(connection)
        visit(connection, Point.AFTER_COMMIT)

    wrapper._execute = lambda cursor, *args: around(execute, cursor, *args)
    wrapper._executemany = lambda cursor, *args: around(execute_many, cursor, *args)
    base._commit = commit_between
