"""Estimates the work of a batch command without doing it: rows, batches, and what its queries will cost."""

from __future__ import annotations

import contextlib
import math
import re
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol, TypeVar

from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from django_runbook.batch.core.batch_options import BatchOptions
from django_runbook.batch.parts import sql
from django_runbook.batch.sources.queryset_source import QuerySetSource
from django_runbook.structs import Struct, field

_Answer = TypeVar("_Answer")
# One query may take this long; after it, the rows are estimated by the database.
QUERY_SECONDS: Final = 2.0
# A smaller table is read as a whole, whatever its indexes.
_SMALL: Final = 10_000
# SQLite asks whether to continue after this many instructions.
_INSTRUCTIONS: Final = 10_000
_SCANS: Final = {
    "sqlite": re.compile(r"^SCAN (?:TABLE )?(?P<table>\S+)$", re.MULTILINE),
    "postgresql": re.compile(r"\bSeq Scan on (?P<table>\S+)"),
    "mysql": re.compile(r"^\d+ \S+ (?P<table>\S+) (?:\S+ )?ALL ", re.MULTILINE),
}
_SORTS: Final = {
    "sqlite": re.compile(r"USE TEMP B-TREE FOR ORDER BY"),
    "postgresql": re.compile(r"\bSort\b"),
    "mysql": re.compile(r"Using filesort"),
}
_NO_INDEX: Final = "an index on the key of the batches is missing or unused"
_POSTGRESQL_ROWS: Final = re.compile(r"rows=(\d+)")


class WorkEstimate(Struct):
    """Holds the rows of a piece of work; ``count`` is None if they were not counted.

    With ``is_about``, the database has guessed the count. ``cascades`` are the rows of other tables that go with them.
    ``reason`` says why the rows were not counted.
    """

    count: int | None = None
    is_about: bool = False
    batch_size: int | None = None
    cascades: Mapping[str, int | None] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    reason: str = ""

    @property
    def batch_count(self) -> int | None:
        """Return the number of batches; None if it is unknown, for example because their size adapts."""
        if self.count is None or self.batch_size is None:
            return None
        return math.ceil(self.count / self.batch_size)


class EstimatedCommand(Protocol):
    """Provides the source of the work, and the rows that it takes along."""

    @property
    def database(self) -> str: ...

    def make_source(self) -> Any: ...

    def count_cascades(self, count: Callable[[Any], int | None]) -> Mapping[str, int | None]: ...


def estimate_work(command: EstimatedCommand, options: BatchOptions) -> WorkEstimate:
    """Estimate the work of a command whose options are set."""
    with contextlib.closing(command.make_source()) as source:
        if not isinstance(source, QuerySetSource):
            return WorkEstimate(reason="the lines of a file are not counted", batch_size=options.batch_size)
        connection = connections[command.database]
        size = options.batch_size or 1000

        def count(rows: Any) -> int | None:
            return _within_limit(connection, rows.order_by().count)

        found = count(source.searched)
        is_about = found is None
        if found is None:
            found = _guess(connection, source.searched)
        warnings = list(_warnings(connection, source, found, size=size))
        cascades = command.count_cascades(count)
    if found is None:
        reason = f"counting takes longer than {QUERY_SECONDS:g}s"
        return WorkEstimate(reason=reason, batch_size=options.batch_size, cascades=cascades, warnings=tuple(warnings))
    if options.shard.count > 1:
        found, is_about = math.ceil(found / options.shard.count), True
    if options.limit is not None:
        found = min(found, options.limit)
    return WorkEstimate(
        count=found,
        is_about=is_about,
        batch_size=options.batch_size,
        cascades=cascades,
        warnings=tuple(warnings),
    )


def _warnings(
    connection: BaseDatabaseWrapper, source: QuerySetSource, count: int | None, *, size: int
) -> Iterator[str]:
    """Yield what makes each batch slower than a walk along an index."""
    if (count is not None and count < _SMALL) or connection.vendor not in _SCANS:
        return
    plan = _within_limit(connection, lambda: source.explain_batch(size=size))
    if plan is None:
        return
    if (scan := _SCANS[connection.vendor].search(plan)) is not None:
        yield f"each batch reads the whole table {scan['table']}; {_NO_INDEX}"
    if _SORTS[connection.vendor].search(plan) is not None:
        yield f"each batch sorts the remaining rows of {source.table}; {_NO_INDEX}"


def _guess(connection: BaseDatabaseWrapper, rows: Any) -> int | None:
    """Return how many rows the planner of the database expects."""
    if connection.vendor != "postgresql":
        return None
    plan = _within_limit(connection, lambda: str(rows.order_by().explain()))
    found = None if plan is None else _POSTGRESQL_ROWS.search(plan)
    return None if found is None else int(found[1])


def _within_limit(connection: BaseDatabaseWrapper, ask: Callable[[], _Answer]) -> _Answer | None:
    """Return the answer of the database; None if it takes too long."""
    try:
        with _LIMITS.get(connection.vendor, _unlimited)(connection):
            return ask()
    except DatabaseError:
        return None


@contextlib.contextmanager
def _limited_on_postgresql(connection: BaseDatabaseWrapper) -> Iterator[None]:
    with transaction.atomic(using=connection.alias):
        before = sql.fetch_value(connection, "SHOW statement_timeout")
        sql.execute(connection, f"SET LOCAL statement_timeout = {int(QUERY_SECONDS * 1000)}")
        yield
        # Inside of another transaction, this one is a savepoint.
        sql.execute(connection, f"SET LOCAL statement_timeout = '{before}'")


@contextlib.contextmanager
def _limited_on_mysql(connection: BaseDatabaseWrapper) -> Iterator[None]:
    is_mariadb = bool(getattr(connection, "mysql_is_mariadb", False))
    name = "max_statement_time" if is_mariadb else "max_execution_time"
    before = sql.fetch_value(connection, f"SELECT @@SESSION.{name}")
    sql.execute(connection, f"SET SESSION {name} = {QUERY_SECONDS if is_mariadb else int(QUERY_SECONDS * 1000)}")
    try:
        yield
    finally:
        sql.execute(connection, f"SET SESSION {name} = {before}")


@contextlib.contextmanager
def _limited_on_sqlite(connection: BaseDatabaseWrapper) -> Iterator[None]:
    connection.ensure_connection()
    raw: Any = connection.connection
    deadline = time.monotonic() + QUERY_SECONDS
    raw.set_progress_handler(lambda: time.monotonic() > deadline, _INSTRUCTIONS)
    try:
        yield
    finally:
        raw.set_progress_handler(None, 0)


@contextlib.contextmanager
def _unlimited(connection: BaseDatabaseWrapper) -> Iterator[None]:
    yield


_LIMITS: Final = {
    "postgresql": _limited_on_postgresql,
    "mysql": _limited_on_mysql,
    "sqlite": _limited_on_sqlite,
}
