"""Estimates the work of a batch command without doing it: rows, batches, and what its queries will cost."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeVar

from django.db import DatabaseError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from django_runbook.batch.core.batch_options import BatchOptions
from django_runbook.batch.core.checkpoint import CheckpointStore
from django_runbook.batch.core.remaining import RemainingRows, find_remaining
from django_runbook.batch.query_plans import guess_count, plan_warnings
from django_runbook.batch.sources.file_source import FileSource
from django_runbook.batch.sources.queryset_source import QuerySetSource
from django_runbook.exceptions import in_words
from django_runbook.structs import MutableStruct, Struct, field, replace

_Answer = TypeVar("_Answer")
# One query may take this long; after it, the rows are estimated by the database.
QUERY_SECONDS: Final = 2.0
_TOO_SLOW: Final = f"counting takes longer than {QUERY_SECONDS:g}s"
# The errors of a canceled statement: SQLSTATE of PostgreSQL, numbers of MariaDB and MySQL, SQLITE_INTERRUPT.
_CANCELED: Final = frozenset(("57014", 1969, 3024, 9))


class Cascades(Struct):
    """Holds the rows of other tables that go with the work; a count is None if it takes too long.

    ``notes`` say why there may be more, and ``warnings`` what will fail.
    """

    counts: dict[str, int | None] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class WorkEstimate(Struct):
    """Holds the rows of a piece of work; ``count`` is None if they were not counted.

    With ``is_about``, the count is extrapolated. ``earlier_count`` rows were processed by an unfinished run. ``reason``
    says why the rows were not counted, or why there are none.
    """

    count: int | None = None
    is_about: bool = False
    earlier_count: int = 0
    batch_size: int | None = None
    cascades: Cascades = Cascades()
    warnings: tuple[str, ...] = ()
    reason: str = ""

    @property
    def batch_count(self) -> int | None:
        """Return the number of batches; None if it is unknown, for example because their size adapts."""
        if self.count is None or self.batch_size is None:
            return None
        return math.ceil(self.count / self.batch_size)


class EstimateRequest(MutableStruct):
    """Asks commands for estimates, and receives them; each query is sent once.

    The connections of the commands refuse writes, and cancel statements after `QUERY_SECONDS`. Nothing more is sent
    after ``ends_at``.
    """

    receive: Callable[[WorkEstimate], None]
    ends_at: float = math.inf
    known: dict[tuple[str, str], int | None] = field(default_factory=dict)

    def count(self, rows: Any) -> int | None:
        """Return the number of rows; None if counting takes too long."""
        rows = rows.order_by()
        key = (rows.db, str(rows.query.sql_with_params()))
        if key not in self.known:
            self.known[key] = self.ask(connections[rows.db], rows.count)
        return self.known[key]

    def ask(self, connection: BaseDatabaseWrapper, question: Callable[[], _Answer]) -> _Answer | None:
        """Return the answer of the database; None if it takes too long."""
        if time.monotonic() > self.ends_at:
            return None
        # In a savepoint: a canceled statement must not spoil a transaction around it.
        in_savepoint = transaction.atomic(using=connection.alias) if connection.in_atomic_block else None
        try:
            with in_savepoint or contextlib.nullcontext():
                return question()
        except DatabaseError as error:
            if not _is_canceled(error):
                raise
            return None


class EstimatedCommand(Protocol):
    """Provides the source of the work, and the rows that it takes along."""

    is_todo: bool

    @property
    def database(self) -> str: ...

    def make_source(self) -> Any: ...

    def count_cascades(self, rows: Any, count: Callable[[Any], int | None]) -> Cascades: ...


def estimate_work(
    command: EstimatedCommand, options: BatchOptions, *, store: CheckpointStore | None, request: EstimateRequest
) -> WorkEstimate:
    """Estimate the work of a command whose options are set; ``store`` holds its position, if the run keeps one."""
    if options.retry_failed:
        if store is None:
            return WorkEstimate(reason="--retry-failed needs the table of checkpoints")
        found = store.failed.all().count()
        return WorkEstimate(count=found if options.limit is None else min(found, options.limit))
    remaining = find_remaining(store, options=options, is_todo=command.is_todo)
    if remaining is None:
        return WorkEstimate(count=0, reason="this work has finished")
    with contextlib.closing(command.make_source()) as source:
        if isinstance(source, FileSource):
            records = source.estimate(after=remaining.after)
            estimate = WorkEstimate(count=records.count, is_about=records.is_about)
        elif isinstance(source, QuerySetSource):
            estimate = _estimate_rows(command, source, options, remaining=remaining, request=request)
        else:
            estimate = WorkEstimate(reason="its source is not a queryset or a file")
    estimate = replace(estimate, batch_size=options.batch_size, earlier_count=remaining.earlier_count)
    if estimate.count is None or options.limit is None:
        return estimate
    return replace(estimate, count=min(estimate.count, options.limit))


def _estimate_rows(
    command: EstimatedCommand,
    source: QuerySetSource,
    options: BatchOptions,
    *,
    remaining: RemainingRows,
    request: EstimateRequest,
) -> WorkEstimate:
    connection = connections[command.database]
    rows = source.key.between(source.searched, remaining.after, remaining.upto)
    found = request.count(rows)
    is_about = found is None or remaining.failed_count > 0
    if found is None:
        found = request.ask(connection, lambda: guess_count(connection, rows))
    warnings: tuple[str, ...] = ()
    if found != 0:
        # An empty rest has no batch, so no query to explain.
        size = options.batch_size or 1000
        warnings = tuple(plan_warnings(connection, source, after=remaining.after, size=size, ask=request.ask))
    if found is not None:
        found = max(0, found - remaining.failed_count)
        if options.shard.count > 1 and remaining.is_new:
            found, is_about = math.ceil(found / options.shard.count), True
    return WorkEstimate(
        count=found,
        is_about=is_about,
        cascades=_count_cascades(command, source.limited(rows, options.limit), request),
        warnings=warnings,
        reason=_TOO_SLOW if found is None else "",
    )


def _count_cascades(command: EstimatedCommand, rows: Any, request: EstimateRequest) -> Cascades:
    try:
        return command.count_cascades(rows, request.count)
    except DatabaseError as error:
        return Cascades(notes=(in_words(error),))


def _is_canceled(error: DatabaseError) -> bool:
    cause = error.__cause__
    codes = {
        getattr(cause, "sqlstate", None) or getattr(cause, "pgcode", None),
        getattr(cause, "sqlite_errorcode", None),
        cause.args[0] if cause is not None and cause.args and isinstance(cause.args[0], int) else None,
    }
    return not _CANCELED.isdisjoint(codes)
