"""What the world does to a batch command: signals, takeovers, connections that break, full disks, deadlocks."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError, connections, transaction
from django.db.models import QuerySet

from django_runbook.batch import checkpoint as checkpoints
from django_runbook.models import Checkpoint
from tests.batch.commands import CountBatches, CountItems
from tests.batch.engines import Engine, wait_until
from tests.batchapp.models import Item, Ledger


def call(engine: Engine, command: CountItems, *tokens: object) -> str:
    """What a command says on standard error."""
    err = io.StringIO()
    tokens = (*map(str, tokens), "--database", engine.alias, "--verbosity", "0")
    call_command(command, *tokens, stdout=io.StringIO(), stderr=err)
    return err.getvalue()


def once(action: Callable[[], object], *, at: int = 1) -> Callable[[Item], None]:
    """An action at the so-manieth item, and never again."""
    seen_count = 0

    def look(item: Item) -> None:
        nonlocal seen_count
        seen_count += 1
        if seen_count == at:
            action()

    return look


@contextlib.contextmanager
def another(engine: Engine) -> Any:
    """A second connection to the same database."""
    connection = engine.connection.copy()
    try:
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


@pytest.mark.parametrize(("command", "least", "most"), [(CountItems, 11, 12), (CountBatches, 1000, 1000)])
def test_sigterm_in_a_batch_of_a_thousand_keeps_what_is_whole(
    engine: Engine, command: type[CountItems], least: int, most: int
) -> None:
    engine.fill(2000)
    stopped = command(once(lambda: os.kill(os.getpid(), signal.SIGTERM), at=11))
    assert engine.run(stopped, "--batch-size", 1000) == 128 + signal.SIGTERM
    assert least <= Ledger.objects.using(engine.alias).count() <= most
    assert engine.are_counts_right()
    assert engine.run(command(), "--batch-size", 1000) == 0
    assert engine.problems(2000) == []


def test_sigterm_in_a_pause_ends_it(sqlite: Engine) -> None:
    sqlite.fill(4)
    with sqlite.forked(sqlite.work(CountItems(), "--batch-size", 2, "--pause", 3600)) as child:
        wait_until(lambda: Ledger.objects.using(sqlite.alias).count() == 2, what="the first batch")
        sqlite.connection.close()
        child.kill(signal.SIGTERM)
        assert child.wait() == 128 + signal.SIGTERM


class Patient(CountItems):
    """Sleeps between its batches, where a test stops it."""

    def throttle(self) -> float | None:
        time.sleep(0.02)
        return None


def test_a_process_that_was_stopped_past_a_takeover_commits_nothing_more(engine: Engine, capfd: Any) -> None:
    engine.fill(60)
    with engine.forked(engine.work(Patient(), "--batch-size", 2)) as zombie:
        wait_until(lambda: Ledger.objects.using(engine.alias).count() >= 6, what="the third batch")
        zombie.kill(signal.SIGSTOP)
        wait_until(lambda: _is_idle(engine), what="a stop between two batches") if engine.vendor != "sqlite" else None
        limit = ("--limit", 10, "--batch-size", 2)
        if engine.vendor == "sqlite":
            # A process that is stopped in its transaction holds all of SQLite: let it get out.
            while _is_locked(engine):
                zombie.kill(signal.SIGCONT)
                time.sleep(0.005)
                zombie.kill(signal.SIGSTOP)
                time.sleep(0.01)
        before = Ledger.objects.using(engine.alias).count()
        assert engine.run(Patient(), *limit) == 0
        assert Ledger.objects.using(engine.alias).count() == before + 10
        zombie.kill(signal.SIGCONT)
        assert zombie.wait() == 75
        assert Ledger.objects.using(engine.alias).count() == before + 10
    assert "has taken over test_faults; this process stops" in capfd.readouterr().err
    assert engine.run(Patient()) == 0
    assert engine.problems(60) == []


def _is_locked(engine: Engine) -> bool:
    connection = engine.connection.copy()
    connection.settings_dict = {**connection.settings_dict, "OPTIONS": {"timeout": 0}}
    try:
        with connection.cursor() as cursor:
            cursor.execute("BEGIN IMMEDIATE")
            cursor.execute("ROLLBACK")
    except OperationalError:
        return True
    finally:
        connection.close()
    return False


def _is_idle(engine: Engine) -> bool:
    """Whether no other session has a transaction; the server ends what a stopped process left in the middle."""
    with another(engine) as cursor:
        if engine.vendor == "postgresql":
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
                "AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
            )
        else:
            cursor.execute("SELECT count(*) FROM information_schema.innodb_trx WHERE trx_rows_modified > 0")
        return bool(cursor.fetchone()[0] == 0)


class Stopping(CountItems):
    """Is stopped inside its transaction."""

    idle_limit_seconds = 3.0


@pytest.mark.parametrize("vendor", ["postgresql", "mariadb"])
def test_a_takeover_waits_for_a_process_stopped_in_its_transaction_as_long_as_that_may_idle(
    request: pytest.FixtureRequest, vendor: str, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    engine: Engine = request.getfixturevalue(vendor)
    monkeypatch.setattr(checkpoints, "_LOCK_WAIT_SECONDS", 1)
    engine.fill(10)
    stopped = Stopping(once(lambda: os.kill(os.getpid(), signal.SIGSTOP), at=5))
    with engine.forked(engine.work(stopped, "--batch-size", 3)) as zombie:
        _, status = os.waitpid(zombie.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        err = call(engine, Stopping())
        assert f"waiting for test_faults, process {zombie.pid} on " in err
        assert engine.problems(10) == []
        engine.connection.close()
        zombie.kill(signal.SIGCONT)
        assert zombie.wait() == 75
    assert engine.problems(10) == []
    assert "this process stops" in capfd.readouterr().err


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
        call(engine, CountItems())
        cursor.execute(query)
        assert cursor.fetchone() == before


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
def test_a_connection_that_is_cut_off_in_a_batch_is_made_again(
    request: pytest.FixtureRequest, vendor: str, command: type[CountItems]
) -> None:
    engine: Engine = request.getfixturevalue(vendor)
    engine.fill(20)
    err = call(engine, command(once(lambda: _end_session(engine, _own_session(engine)), at=7)), "--batch-size", 5)
    assert "trying again" in err
    assert engine.problems(20) == []


@pytest.mark.parametrize("vendor", ["postgresql", "mariadb"])
def test_a_connection_that_is_cut_off_between_batches_is_made_again(
    request: pytest.FixtureRequest, vendor: str
) -> None:
    engine: Engine = request.getfixturevalue(vendor)

    class CutOff(CountItems):
        def throttle(self) -> float | None:
            _end_session(engine, _own_session(engine))
            return None

    engine.fill(20)
    call(engine, CutOff(), "--batch-size", 5)
    assert engine.problems(20) == []


SLOW_COMMIT = """
CREATE OR REPLACE FUNCTION slow_commit() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(20); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER slow_commit AFTER INSERT ON batchapp_ledger DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION slow_commit()
"""


def test_a_connection_that_is_cut_off_in_its_commit_loses_and_doubles_nothing(postgresql: Engine) -> None:
    postgresql.fill(10)
    with another(postgresql) as cursor:
        cursor.execute(SLOW_COMMIT)
    try:
        with (
            postgresql.forked(postgresql.work(CountItems(), "--batch-size", 5)) as child,
            another(postgresql) as cursor,
        ):

            def has_ended() -> bool:
                cursor.execute(
                    "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity "
                    "WHERE datname = current_database() AND query = 'COMMIT' AND state = 'active'"
                )
                return bool(cursor.fetchone()[0])

            wait_until(has_ended, what="the commit")
            cursor.execute("DROP TRIGGER slow_commit ON batchapp_ledger")
            assert child.wait() == 0
    finally:
        with another(postgresql) as cursor:
            cursor.execute("DROP TRIGGER IF EXISTS slow_commit ON batchapp_ledger")
    assert postgresql.problems(10) == []


@pytest.mark.parametrize("is_committed", [True, False])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_commit_whose_answer_is_lost_is_judged_by_the_checkpoint(
    engine: Engine, number: int, *, is_committed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.fill(10)
    connection: Any = engine.connection
    commit, left_count = connection._commit, number + 1  # the first one takes the checkpoint over

    def lose_answer() -> None:
        nonlocal left_count
        left_count -= 1
        if left_count == 0:
            if is_committed:
                commit()
            raise OperationalError("server closed the connection unexpectedly")
        commit()

    monkeypatch.setattr(connection, "_commit", lose_answer)
    call(engine, CountItems(), "--batch-size", 4)
    assert engine.problems(10) == []
    assert left_count < 0


def test_a_commit_that_comes_through_after_all_is_seen_by_the_fence(engine: Engine) -> None:
    """The session of a lost connection can still be about to commit when the checkpoint is asked."""
    engine.fill(10)

    def late() -> None:
        # What the other session does: the batch of ours, under our name.
        row = Checkpoint.objects.using(engine.alias).get()
        keys = list(Item.objects.using(engine.alias).order_by("pk").values_list("pk", flat=True))[2:4]
        Ledger.objects.using(engine.alias).bulk_create([Ledger(item_key=str(key)) for key in keys])
        Item.objects.using(engine.alias).filter(pk__in=keys).update(count=1)
        row.cursor, row.batch_count, row.done_count = f'["{keys[-1]}"]', row.batch_count + 1, row.done_count + 2
        row.save(using=engine.alias)

    calls = iter([late])

    class Overtaken(CountItems):
        def throttle(self) -> None:
            next(calls, lambda: None)()

    call(engine, Overtaken(), "--batch-size", 2)
    assert engine.problems(10) == []


@pytest.mark.parametrize("error", ["deadlock", "busy"])
def test_a_transient_error_is_tried_again_with_half_of_the_rows(sqlite: Engine, error: str) -> None:
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

    err = call(sqlite, Colliding(), "--batch-size", 16)
    assert err.count("trying again") == 3
    assert spans == [16, 8, 4, 2, 2, 4, 8]
    assert sqlite.problems(16) == []


def test_a_transient_error_that_stays_ends_the_run(sqlite: Engine) -> None:
    class Colliding(CountItems):
        def process_item(self, item: Item) -> None:
            raise OperationalError("database is locked")

        def wait(self, seconds: float) -> bool:
            return False

    sqlite.fill(4)
    with pytest.raises(CommandError, match="OperationalError: database is locked"):
        call(sqlite, Colliding(), "--max-errors", 100)


def test_a_deadlock_with_somebody_else_is_got_over(postgresql: Engine) -> None:
    postgresql.fill(10)
    keys = list(Item.objects.using(postgresql.alias).order_by("pk").values_list("pk", flat=True))
    last_is_locked, first_is_wanted = threading.Event(), threading.Event()

    def collide() -> None:
        connection = connections[postgresql.alias]
        with contextlib.suppress(OperationalError), transaction.atomic(using=postgresql.alias):
            Item.objects.using(postgresql.alias).filter(pk=keys[-1]).update(value="2")
            last_is_locked.set()
            first_is_wanted.wait(30)
            Item.objects.using(postgresql.alias).filter(pk=keys[0]).update(value="2")
        connection.close()

    other = threading.Thread(target=collide)

    def begin() -> None:
        last_is_locked.wait(30)
        first_is_wanted.set()

    other.start()
    call(postgresql, CountItems(once(begin, at=2)), "--batch-size", 10)
    other.join()
    assert postgresql.problems(10) == []


def test_a_full_disk_ends_the_run_and_the_next_one_goes_on(sqlite: Engine) -> None:
    sqlite.fill(2000)
    with sqlite.connection.cursor() as cursor:
        cursor.execute("VACUUM")
        cursor.execute("PRAGMA page_count")
        cursor.execute(f"PRAGMA max_page_count = {cursor.fetchone()[0] + 3}")
    with pytest.raises(CommandError, match="database or disk is full") as caught:
        call(sqlite, CountItems(), "--batch-size", 50, "--max-errors", 100)
    assert caught.value.returncode == 1
    assert sqlite.are_counts_right()
    assert 0 < Ledger.objects.using(sqlite.alias).count() < 2000
    sqlite.connection.close()
    call(sqlite, CountItems())
    assert sqlite.problems(2000) == []


def test_a_checkpoint_that_was_wiped_ends_the_run(sqlite: Engine) -> None:
    sqlite.fill(6)

    class Wiping(CountItems):
        def throttle(self) -> float | None:
            Checkpoint.objects.using(sqlite.alias).all().delete()
            return None

    with pytest.raises(CommandError, match="the checkpoint of test_faults is gone") as caught:
        call(sqlite, Wiping(), "--batch-size", 2)
    assert caught.value.returncode == 75
    assert Ledger.objects.using(sqlite.alias).count() == 2


def test_rows_committed_by_the_work_itself_are_refused(sqlite: Engine, tmp_path: Path) -> None:
    """The work runs inside the batch's transaction: it cannot begin a durable one of its own."""

    class Durable(CountItems):
        def process_item(self, item: Item) -> None:
            with transaction.atomic(using=self.database, durable=True):
                super().process_item(item)

    sqlite.fill(1)
    with pytest.raises(CommandError, match="durable"):
        call(sqlite, Durable())
