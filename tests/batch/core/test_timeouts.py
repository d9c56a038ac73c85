"""Tests the timeouts that a command sets in the database."""

from __future__ import annotations

from tests.batch.commands import CountItems, errors_of
from tests.batch.engines import Engine


def test_the_limit_on_idling_does_not_outlive_the_command(engine: Engine) -> None:
    query = {
        "postgresql": "SHOW idle_in_transaction_session_timeout",
        "mariadb": "SELECT @@SESSION.idle_transaction_timeout",
        "sqlite": "SELECT 0",
    }[engine.vendor]
    engine.fill(3)
    with engine.connection.cursor() as cursor:
        cursor.execute(query)
        before = cursor.fetchone()
        errors_of(engine, CountItems())
        cursor.execute(query)
        assert cursor.fetchone() == before
