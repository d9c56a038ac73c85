"""Tests lost connections, deadlocks and busy databases."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
import threading
from typing import Any

import pytest
from django.core.management.base import CommandError
from django.db import OperationalError, connections, transaction
from django.db.models import QuerySet

from django_runbook.models.checkpoints import Checkpoint
from tests.batch.commands import (
    CountBatches,
    CountItems,
    Late,
    another,
    errors_of,
    once,
)
from tests.batch.engines import Engine
from tests.batchapp.models import (
    Item,
)
from tests.patience import PATIENCE_SECONDS, wait_until


def _own_session(engine: Engine) -> int:
    with connections[engine.alias].cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()" if engine.vendor == "postgresql" else "SELECT CONNECTION_ID()")
        return int(cursor.fetchone()[0])


def _end_session(engine: Engine, number: int) -> None:
    with another(engine) as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(%s)" if engine.vendor == "postgresql" else "KILL CONNECTION %s", [number]
        )


@pytest.mark.parametrize("vendor", ["postgresql", "mariadb"])
@pytest.mark.parametrize("command", [CountItems, CountBatches])
def test_a_connection_lost_in_a_batch_is_reopened(
    request: pytest.FixtureRequest, vendor: str, command: type[CountItems]
) -> None:
    engine: Engine = request.getfixturevalue(vendor)
    engine.fill(20)
    err = errors_of(engine, command(once(lambda: _end_session(engine, _own_session(engine)), at=7)), "--batch-size", 5)
    assert "retrying" in err
    assert engine.problems(20) == []


@pytest.mark.parametrize("vendor", ["postgresql", "mariadb"])
def test_a_connection_lost_between_batches_is_reopened(request: pytest.FixtureRequest, vendor: str) -> None:
    engine: Engine = request.getfixturevalue(vendor)

    class CutOff(CountItems):
        def throttle(self) -> float | None:
            _end_session(engine, _own_session(engine))
            return None

    engine.fill(20)
    errors_of(engine, CutOff(), "--batch-size", 5)
    assert engine.problems(20) == []


# The first commit is slow, and the second one of the same rows is not: a rollback does not reset a sequence.
SLOW_COMMIT = f"""
CREATE SEQUENCE slow_commits;
CREATE OR REPLACE FUNCTION slow_commit() RETURNS trigger LANGUAGE plpgsql AS '
    BEGIN
        IF nextval(''slow_commits'') = 1 THEN PERFORM pg_sleep({PATIENCE_SECONDS}); END IF;
        RETURN NULL;
    END';
CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON batchapp_ledger DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION slow_commit()
"""


def test_a_connection_lost_in_a_commit_neither_loses_nor_repeats_rows(postgresql: Engine) -> None:
    postgresql.fill(10)
    with another(postgresql) as cursor:
        cursor.execute(SLOW_COMMIT)
    try:
        with (
            postgresql.forked(postgresql.work(CountItems(), "--batch-size", 5)) as child,
            another(postgresql) as cursor,
        ):

            def has_ended() -> bool:
                # Before it sleeps, the commit has not counted itself, and the second one would be the slow one.
                cursor.execute(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND query = 'COMMIT' AND wait_event = 'PgSleep'"
                )
                return bool(cursor.fetchone()[0])

            wait_until(has_ended, what="the commit")
            assert child.wait() == 0
    finally:
        with another(postgresql) as cursor:
            cursor.execute("DROP TRIGGER slow_commit ON batchapp_ledger; DROP SEQUENCE slow_commits")
    assert postgresql.problems(10) == []


@pytest.mark.parametrize("error", ["deadlock", "busy"])
def test_a_transient_error_is_retried_with_half_of_the_rows(sqlite: Engine, error: str) -> None:
    sqlite.fill(16)
    spans: list[int] = []
    left_count = 3

    class Colliding(CountBatches):
        def process_batch(self, rows: QuerySet[Item]) -> int | None:
            nonlocal left_count
            spans.append(len(rows))
            left_count -= 1
            if left_count >= 0:
                raise OperationalError("database is locked")
            return super().process_batch(rows)

        def wait(self, seconds: float) -> bool:
            return False

    err = errors_of(sqlite, Colliding(), "--batch-size", 16)
    assert err.count("retrying") == 3
    assert spans == [16, 8, 4, 2, 2, 4, 8]
    assert sqlite.problems(16) == []


def test_a_persistent_transient_error_ends_the_run(sqlite: Engine) -> None:
    class Colliding(CountItems):
        def process_item(self, item: Item) -> None:
            raise OperationalError("database is locked")

        def wait(self, seconds: float) -> bool:
            return False

    sqlite.fill(4)
    with pytest.raises(CommandError, match="OperationalError: database is locked"):
        errors_of(sqlite, Colliding(), "--max-errors", 100)


def test_a_deadlock_with_another_transaction_is_retried(postgresql: Engine) -> None:
    postgresql.fill(10)
    keys = list(Item.objects.using(postgresql.alias).order_by("pk").values_list("pk", flat=True))
    last_is_locked, first_is_wanted = threading.Event(), threading.Event()

    def collide() -> None:
        connection = connections[postgresql.alias]
        with contextlib.suppress(OperationalError), transaction.atomic(using=postgresql.alias):
            Item.objects.using(postgresql.alias).filter(pk=keys[-1]).update(value="2")
            last_is_locked.set()
            first_is_wanted.wait(PATIENCE_SECONDS)
            Item.objects.using(postgresql.alias).filter(pk=keys[0]).update(value="2")
        connection.close()

    other = threading.Thread(target=collide)

    def begin() -> None:
        last_is_locked.wait(PATIENCE_SECONDS)
        first_is_wanted.set()

    other.start()
    errors_of(postgresql, CountItems(once(begin, at=2)), "--batch-size", 10)
    other.join()
    assert postgresql.problems(10) == []


def _run_with_a_busy_statement(engine: Engine, number: int, *tokens: object, is_executed: bool) -> bool:
    """Whether there was a statement of that number, which met a busy database."""
    seen_count, has_met = 0, False

    def execute(execute: Any, sql: str, *given: Any) -> Any:
        nonlocal seen_count, has_met
        seen_count += not sql.startswith(("BEGIN", "SAVEPOINT", "RELEASE", "ROLLBACK"))
        if seen_count != number or has_met:
            return execute(sql, *given)
        has_met = True
        if is_executed:
            execute(sql, *given)
        raise OperationalError("database is locked")

    with engine.connection.execute_wrapper(execute), contextlib.suppress(CommandError):
        errors_of(engine, Late(), "--batch-size", 3, *tokens)
    return has_met


@pytest.mark.slow
@pytest.mark.parametrize("is_executed", [False, True])
@pytest.mark.parametrize("is_retry", [False, True])
def test_a_busy_database_is_retried_at_each_statement(sqlite: Engine, *, is_executed: bool, is_retry: bool) -> None:
    Item.objects.using(sqlite.alias).bulk_create([Item(pk=pk, value="bad" if pk == 14 else "") for pk in range(11, 18)])
    if is_retry:
        with pytest.raises(CommandError, match="1 failed"):
            errors_of(sqlite, Late(), "--max-errors", 1)
        Item.objects.using(sqlite.alias).filter(pk=14).update(value="")
    # Each statement is tried from the same beginning.
    beginning = sqlite3.connect(":memory:")
    sqlite.connection.connection.backup(beginning)
    for number in itertools.count(1):
        beginning.backup(sqlite.connection.connection)
        tokens = ("--retry-failed",) if is_retry else ("--max-errors", 1)
        has_met = _run_with_a_busy_statement(sqlite, number, *tokens, is_executed=is_executed)
        if not is_retry:
            Item.objects.using(sqlite.alias).filter(pk=14).update(value="")
            errors_of(sqlite, Late(), "--retry-failed")
        assert sqlite.problems(8) == [], f"at statement {number}"
        assert not Checkpoint.objects.using(sqlite.alias).exists()
        if not has_met:
            beginning.close()
            assert number > 10
            return
