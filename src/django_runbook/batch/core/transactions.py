"""Opens the transaction of each batch."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from django.core.management.base import CommandError
from django.db import connections, transaction

from django_runbook.batch.core.timeouts import set_idle_timeout
from django_runbook.batch.django_compat import is_in_foreign_transaction
from django_runbook.structs import Struct


class Transactions(Struct):
    """Opens transactions for batches; if ``is_whole``, an outer transaction holds all of them."""

    alias: str
    is_whole: bool = False
    idle_limit_seconds: float = 60.0

    @contextlib.contextmanager
    def batch(self, *, is_kept: bool) -> Iterator[None]:
        """Open the transaction of one batch, and roll it back at its end unless it is kept."""
        with transaction.atomic(using=self.alias, durable=not self.is_whole):
            if not self.is_whole:
                set_idle_timeout(connections[self.alias], self.idle_limit_seconds)
            yield
            refuse_rollback(self.alias)
            if not is_kept:
                transaction.set_rollback(True, using=self.alias)


def refuse_rollback(alias: str) -> None:
    """Raise an error if Django would silently roll back the transaction, and its work would be lost."""
    if connections[alias].needs_rollback:
        raise transaction.TransactionManagementError(
            "the transaction cannot be committed, because the work has caught a database error or closed the "
            "connection; to catch a database error, put its statement into an atomic() block of its own"
        )


def refuse_open_transaction(alias: str) -> None:
    """Raise CommandError if a batch could not be committed: inside a transaction, or with AUTOCOMMIT off."""
    connection = connections[alias]
    if is_in_foreign_transaction(connection):
        raise CommandError(
            f'a transaction is open on the database "{alias}", but a batch command commits its own transactions: '
            "call it outside of atomic()"
        )
    connection.ensure_connection()
    if not connection.in_atomic_block and not connection.get_autocommit():
        # atomic() would not commit, and all work would be lost at the end.
        raise CommandError(
            f'the database "{alias}" has AUTOCOMMIT off, but a batch command commits each batch: turn AUTOCOMMIT on'
        )
