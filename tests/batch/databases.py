"""Aliases of their own for a test, on each database that a promise is made for."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import connections

from tests.postgres_settings import POSTGRES
from tests.services import require_database

VENDORS = ("sqlite", "postgresql", "mariadb")


@contextmanager
def alias_on(vendor: str, directory: Path, **settings: Any) -> Iterator[str]:
    """An alias of that database, with a table ``name`` of its own (column ``number``) that has one row."""
    alias = table = f"t_{uuid.uuid4().hex[:12]}"
    connections.settings[alias] = {**_settings_of(vendor, directory), **settings}
    connections.configure_settings(connections.settings)
    connection = connections[alias]
    try:
        require_database(alias)
        run(alias, f"CREATE TABLE {table} (number integer)")
        run(alias, f"INSERT INTO {table} VALUES (1)")
        connection.close()
        try:
            yield alias
        finally:
            connections[alias].close()
            run(alias, f"DROP TABLE {table}")
    finally:
        connections[alias].close()
        if connections[alias].settings_dict["OPTIONS"].get("pool"):
            pooled: Any = connections[alias]
            pooled.close_pool()
        del connections[alias], connections.settings[alias]


def run(alias: str, statement: str) -> Any:
    """Run a statement; gives the first value of what it returns."""
    with connections[alias].cursor() as cursor:
        cursor.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


def _settings_of(vendor: str, directory: Path) -> dict[str, Any]:
    if vendor == "sqlite":
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": directory / "alias.sqlite3"}
    if vendor == "postgresql":
        return dict(POSTGRES)
    from tests.mariadb_settings import MARIADB

    return dict(MARIADB)
