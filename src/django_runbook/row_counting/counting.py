"""Counts the rows that a command changes on every connection that it uses."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING, Final, Self

from django.apps import apps
from django.db import DEFAULT_DB_ALIAS, connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from django_runbook.row_account import RowAccount, TableCounts

if TYPE_CHECKING:
    from django_runbook.row_counting.connection_counter import ConnectionCounter
    from django_runbook.row_counting.ledger import Tables

_MAX_NOTES: Final = 5


class RowCounter:
    """Counts rows on the connections of this thread, or of all threads; as a context manager, while it is entered.

    In a dry run, what a command rolls back by ``set_rollback()`` counts, because it would have been committed; with
    ``counts_rollbacks``, every transaction counts.
    """

    def __init__(
        self, *, is_dry_run: bool = False, counts_rollbacks: bool = False, is_every_thread: bool = False
    ) -> None:
        self.is_dry_run = is_dry_run
        self.counts_rollbacks = counts_rollbacks
        self._thread = None if is_every_thread else threading.get_ident()
        self._counters: dict[int, ConnectionCounter] = {}
        self._notes: dict[str, None] = {}
        self._deletable: Tables = {}

    def __enter__(self) -> Self:
        for connection in connections.all(initialized_only=True):
            # A connection that is opened later announces itself.
            if connection.connection is not None:
                self._attach(connection)
        connection_created.connect(self._note_connection, weak=False, dispatch_uid=id(self))
        return self

    def __exit__(self, *error: object) -> None:
        connection_created.disconnect(dispatch_uid=id(self))
        for counter in self._counters.values():
            counter.detach()

    @cached_property
    def own_tables(self) -> frozenset[str]:
        return frozenset(model._meta.db_table for model in apps.get_app_config("django_runbook").get_models())

    def note(self, text: str) -> None:
        """Keep why more rows may have changed than were counted."""
        if len(self._notes) < _MAX_NOTES:
            self._notes[text] = None

    def add_deletable(self, table: str, count: int, *, alias: str) -> None:
        """Count rows that a command would have deleted, but has only selected in this dry run."""
        if self.is_dry_run and count:
            key = table if alias == DEFAULT_DB_ALIAS else f"{table}@{alias}"
            self._deletable[key] = self._deletable.get(key, TableCounts()) + TableCounts(deleted=count)

    def account(self) -> RowAccount:
        """Return the rows counted so far, in the order of the first change of each table."""
        tables = dict(self._deletable)
        for counter in self._counters.values():
            suffix = "" if counter.alias == DEFAULT_DB_ALIAS else f"@{counter.alias}"
            for name, counts in counter.ledger.committed.items():
                key = f"{name}{suffix}"
                tables[key] = tables.get(key, TableCounts()) + counts
        return RowAccount(tables=tables, notes=tuple(self._notes))

    def _note_connection(self, connection: BaseDatabaseWrapper, **kwargs: object) -> None:
        if self._thread is None or threading.get_ident() == self._thread:
            self._attach(connection)

    def _attach(self, connection: BaseDatabaseWrapper) -> None:
        # Many commands use no database.
        from django_runbook.row_counting.connection_counter import ConnectionCounter

        known = self._counters.get(id(connection))
        if known is None:
            self._counters[id(connection)] = ConnectionCounter(self, connection)
        else:
            known.reconnect()
