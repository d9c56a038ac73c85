"""Tests how the table of checkpoints is found."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from django.db import connections

from django_runbook.batch.core import checkpoint_tables
from django_runbook.models.checkpoints import Checkpoint
from tests.batch.engines import Engine


class Forbidding:
    """A router that keeps our tables out of every database but the default one."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return db == "default" if app_label == "django_runbook" else None


def test_a_router_decides_where_checkpoints_may_be(sqlite: Engine, default_tables: None, settings: Any) -> None:
    settings.DATABASE_ROUTERS = [Forbidding()]
    assert checkpoint_tables.checkpoint_alias(sqlite.alias) == "default"
    settings.DATABASE_ROUTERS = []
    assert checkpoint_tables.checkpoint_alias(sqlite.alias) == sqlite.alias


def test_a_missing_table_is_detected(sqlite: Engine) -> None:
    # To patch the name instead would last: Django's fields cache it with their first query.
    with renamed_table(sqlite.alias):
        assert not checkpoint_tables.has_table(sqlite.alias)
        assert not connections[sqlite.alias].in_atomic_block
    assert checkpoint_tables.has_table(sqlite.alias)


@contextlib.contextmanager
def renamed_table(alias: str) -> Iterator[None]:
    name = Checkpoint._meta.db_table
    with connections[alias].cursor() as cursor:
        cursor.execute(f"ALTER TABLE {name} RENAME TO moved")
        try:
            yield
        finally:
            cursor.execute(f"ALTER TABLE moved RENAME TO {name}")
