"""Whether a service that a test needs is there: in CI it must be, elsewhere the test is skipped with the reason."""

from __future__ import annotations

import os

import psycopg
import pytest

from tests import postgres_settings


def _connect() -> psycopg.Connection[tuple[int]]:
    database = postgres_settings.POSTGRES
    return psycopg.connect(
        host=database["HOST"],
        port=database["PORT"],
        user=database["USER"],
        password=database["PASSWORD"],
        dbname=database["NAME"],
        connect_timeout=3,
    )


def running_statements(word: str) -> int:
    """How many statements with this word the server is at, without the one that asks."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE %s AND pid <> pg_backend_pid()"
    with _connect() as connection:
        row = connection.execute(query, [f"%{word}%"]).fetchone()
    assert row is not None
    return row[0]


def require_postgres() -> None:
    """Skip the test, or in CI fail it, where PostgreSQL cannot be reached."""
    database = postgres_settings.POSTGRES
    try:
        _connect().close()
    except psycopg.OperationalError as error:
        reason = f"PostgreSQL at {database['HOST']}:{database['PORT']} cannot be reached: {error}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
