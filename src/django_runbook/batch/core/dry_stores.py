"""Provides stores that keep nothing: for a dry run, and for a database without the table of checkpoints."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

from django.db import DatabaseError, connections

from django_runbook.batch.core.checkpoint import CheckpointStore
from django_runbook.batch.core.error_kinds import RowFailure
from django_runbook.batch.core.store import Bounds, OtherShards, Position


class DryRunStore:
    """Begins at the current position and keeps nothing."""

    alias = ""
    is_together = True

    def __init__(self, store: CheckpointStore | None, *, shard_index: int = 0) -> None:
        self._store = store
        self._shard_index = shard_index
        self._position = Position()

    def begin(self, *, bounds: Bounds, restart: bool) -> Position | None:
        """Return the position that a real run would begin at; None if the work has finished."""

        def fresh() -> Position:
            mine = bounds()[self._shard_index]
            return Position(start=mine.start, cursor=mine.start, upper=mine.upper)

        if self._store is None:
            found: Position | None = fresh()
        else:
            found = self._store.peek(fresh, bounds=bounds, restart=restart)
        self._position = found or Position()
        return found

    def advance(self, old: Position, new: Position) -> bool:
        """Change nothing; on SQLite, execute the statement of a real run so that the transaction begins with a write.

        On SQLite a transaction that begins with a read fails if another process writes; one that begins with a write
        waits. The statement matches no row, since this process owns no checkpoint.
        """
        store = self._store
        if store is not None and store.is_together and connections[store.alias].vendor == "sqlite":
            try:
                store.advance(old, new)
            except DatabaseError as error:
                # In a read-only database there is no writer to wait for.
                if getattr(error.__cause__, "sqlite_errorcode", 0) & 0xFF != sqlite3.SQLITE_READONLY:
                    raise
        return True

    def correct(self, position: Position) -> None:
        """Change nothing."""

    def record(self, failures: Iterable[RowFailure]) -> None:
        """Record nothing."""

    def advance_after(self, old: Position, new: Position, failures: Iterable[RowFailure]) -> bool:
        """Change nothing."""
        return True

    def has_failed(self, key: str) -> bool:
        """Return False: a dry run records no failures."""
        return False

    def other_shards(self) -> OtherShards:
        """Return nothing: the failures of other dry runs are unknown."""
        return OtherShards()

    def lock_shards(self) -> None:
        """Lock nothing."""

    def current(self) -> Position:
        """Return where the run began: no batch of a dry run is kept."""
        return self._position

    def finish(self, position: Position) -> None:
        """Change nothing."""


class NullStore(DryRunStore):
    """Keeps nothing because there is no table: an interrupted run starts over."""

    is_together = False

    def __init__(self) -> None:
        super().__init__(None)
