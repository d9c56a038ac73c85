"""What the world does to a batch command: signals, takeovers, connections that break, full disks, deadlocks."""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import re
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

from django_runbook.batch.core import takeover
from django_runbook.models import Checkpoint, FailedRow
from tests.batch.commands import CountBatches, CountItems, MarkItems
from tests.batch.engines import Engine, wait_until
from tests.batchapp.models import Item, Ledger
from tests.services import REDIS_URL, require_redis


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
        assert zombie.wait() == 1
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
    monkeypatch.setattr(takeover, "_LOCK_WAIT_SECONDS", 1)
    engine.fill(10)
    stopped = Stopping(once(lambda: os.kill(os.getpid(), signal.SIGSTOP), at=5))
    with engine.forked(engine.work(stopped, "--batch-size", 3)) as zombie:
        _, status = os.waitpid(zombie.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        err = call(engine, Stopping())
        assert f"the last owner of the work was test_faults, process {zombie.pid} on " in err
        assert engine.problems(10) == []
        engine.connection.close()
        zombie.kill(signal.SIGCONT)
        assert zombie.wait() == 1
    assert engine.problems(10) == []
    assert "this process stops" in capfd.readouterr().err


HELD = {
    "sqlite": ("BEGIN IMMEDIATE", r"holds the database; the last owner of the work was test_faults, process \d+ .*\n"),
    "postgresql": (
        "BEGIN; UPDATE django_runbook_checkpoint SET holder = holder",
        "holds the checkpoint; .*ends a batch that is idle",
    ),
    "mariadb": (
        "UPDATE django_runbook_checkpoint SET holder = 'x'",
        "holds the checkpoint; .*ends a batch that is idle",
    ),
}


def test_what_a_takeover_waits_for_is_told(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    statement, words = HELD[engine.vendor]
    monkeypatch.setattr(takeover, "_LOCK_WAIT_SECONDS", 1)
    engine.fill(4)
    call(engine, Patient(), "--limit", 1)
    engine.connection.close()
    if engine.vendor == "sqlite":
        monkeypatch.setitem(engine.connection.settings_dict["OPTIONS"], "timeout", 0)
    with another(engine) as cursor:

        class Waiting(Patient):
            def wait(self, seconds: float) -> bool:
                cursor.execute("ROLLBACK")
                return False

        cursor.execute("SET autocommit = 0") if engine.vendor == "mariadb" else None
        cursor.execute(statement)
        err = call(engine, Waiting())
    assert re.fullmatch(f"waiting: an open transaction {words}.*", err, re.DOTALL)
    assert engine.problems(4) == []
    engine.connection.close()


def test_sigterm_while_it_waits_for_the_checkpoint_is_heard(
    postgresql: Engine, monkeypatch: pytest.MonkeyPatch, capfd: Any
) -> None:
    monkeypatch.setattr(takeover, "_LOCK_WAIT_SECONDS", 1)
    postgresql.fill(4)
    call(postgresql, Patient(), "--limit", 1)
    with another(postgresql) as cursor, postgresql.forked(postgresql.work(Patient())) as child:
        cursor.execute("BEGIN; UPDATE django_runbook_checkpoint SET holder = holder")
        wait_until(lambda: _is_waiting(postgresql), what="the takeover")
        child.kill(signal.SIGTERM)
        assert child.wait() == 128 + signal.SIGTERM
    assert "stopped (SIGTERM); 0 done; the next run continues from there" in capfd.readouterr().err


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
    assert "retrying" in err
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
    assert err.count("retrying") == 3
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


class Late(MarkItems):
    """Commits a row behind its cursor, and cannot do one."""

    def process_item(self, item: Item) -> None:
        if item.value == "bad":
            raise ValueError("bad")
        super().process_item(item)
        if item.pk == 17:
            Item.objects.using(self.database).get_or_create(pk=1)

    def wait(self, seconds: float) -> bool:
        return False


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
        call(engine, Late(), "--batch-size", 3, *tokens)
    return has_met


@pytest.mark.parametrize("is_executed", [False, True])
@pytest.mark.parametrize("is_retry", [False, True])
def test_a_database_that_is_busy_at_any_statement_is_asked_again(
    sqlite: Engine, *, is_executed: bool, is_retry: bool
) -> None:
    for number in itertools.count(1):
        sqlite.clear()
        Item.objects.using(sqlite.alias).bulk_create(
            [Item(pk=pk, value="bad" if pk == 14 else "") for pk in range(11, 18)]
        )
        if is_retry:
            with pytest.raises(CommandError, match="1 failed"):
                call(sqlite, Late(), "--max-errors", 1)
            Item.objects.using(sqlite.alias).filter(pk=14).update(value="")
        tokens = ("--retry-failed",) if is_retry else ("--max-errors", 1)
        has_met = _run_with_a_busy_statement(sqlite, number, *tokens, is_executed=is_executed)
        if not is_retry:
            Item.objects.using(sqlite.alias).filter(pk=14).update(value="")
            call(sqlite, Late(), "--retry-failed")
        assert sqlite.problems(8) == [], f"at statement {number}"
        assert not Checkpoint.objects.using(sqlite.alias).exists()
        if not has_met:
            return


def _is_waiting(engine: Engine) -> bool:
    """Whether a session waits for a lock of another one."""
    with another(engine) as cursor:
        if engine.vendor == "postgresql":
            cursor.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        else:
            cursor.execute("SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'")
        return bool(cursor.fetchone()[0])


class Mended(MarkItems):
    """Can do row 50 once row 60 is done, when a row behind its cursor makes it look again."""

    engine: Engine
    directory: Path
    is_retry = False

    def process_item(self, item: Item) -> None:
        if item.pk == 50 and not (self.directory / "mended").exists():
            raise ValueError("bad")
        super().process_item(item)
        if self.is_retry:
            (self.directory / "retrying").touch()
            wait_until(lambda: _is_waiting(self.engine), what="the last look")

    def throttle(self) -> None:
        if not (self.directory / "mended").exists() and Item.objects.using(self.database).get(pk=60).is_done:
            Item.objects.using(self.database).create(pk=45)
            (self.directory / "mended").touch()
            wait_until((self.directory / "retrying").exists, what="the retry")


@pytest.mark.parametrize("vendor", ["postgresql", "mariadb"])
def test_a_failed_row_that_a_last_look_meets_while_it_is_retried_is_done_once(
    request: pytest.FixtureRequest, vendor: str, tmp_path: Path
) -> None:
    engine: Engine = request.getfixturevalue(vendor)
    Item.objects.using(engine.alias).bulk_create([Item(pk=pk) for pk in (10, 20, 30, 40, 50, 60)])
    run, retry = Mended(), Mended()
    run.engine = retry.engine = engine
    run.directory = retry.directory = tmp_path
    retry.is_retry = True
    options = ("--batch-size", 1, "--max-errors", 1)
    assert engine.run(run, "--shard", "1/2", *options) == 0
    with engine.forked(engine.work(run, "--shard", "2/2", *options)) as child:
        wait_until((tmp_path / "mended").exists, what="the last row")
        assert engine.run(retry, "--retry-failed") == 0
        child.wait()
    assert engine.problems(7) == []
    assert not FailedRow.objects.using(engine.alias).exists()


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

    with pytest.raises(CommandError, match="the checkpoint of test_faults was deleted") as caught:
        call(sqlite, Wiping(), "--batch-size", 2)
    assert caught.value.returncode == 1
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


class Locked(CountItems):
    """One at a time, under a name that no other test has."""

    pause_seconds = 0.05


@pytest.fixture
def locked(tmp_path: Path, settings: Any) -> type[Locked]:
    settings.RUNBOOK = {"LOCK": {"BACKEND": "file", "OPTIONS": {"directory": str(tmp_path)}}}
    return type("Locked", (Locked,), {"lock_name": f"test {tmp_path}", "__module__": __name__})


def test_a_second_one_leaves_and_names_the_first(engine: Engine, locked: type[Locked]) -> None:
    engine.fill(20)
    with engine.forked(engine.work(locked(), "--batch-size", 1)) as child:
        wait_until(lambda: Ledger.objects.using(engine.alias).exists(), what="the first batch")
        with pytest.raises(CommandError, match=f"process {child.pid}") as caught:
            call(engine, locked())
        assert caught.value.returncode == 75
        engine.connection.close()
        child.kill()
        child.wait()
    assert engine.are_counts_right()
    call(engine, locked())
    assert engine.problems(20) == []


def test_a_lost_lock_stops_the_command(sqlite: Engine, locked: type[Locked], tmp_path: Path) -> None:
    sqlite.fill(100)

    def lose() -> None:
        (path,) = tmp_path.glob("*.lock")
        path.unlink()
        # As of somebody who has acquired it since.
        path.touch(mode=0o600)

    with pytest.raises(CommandError, match="was lost") as caught:
        call(sqlite, locked(once(lose)), "--batch-size", 1)
    # 75 would say that nothing was done.
    assert caught.value.returncode == 1
    assert sqlite.are_counts_right()
    call(sqlite, Patient())
    assert sqlite.problems(100) == []


@pytest.mark.parametrize("is_inside", [False, True], ids=["between batches", "inside its transaction"])
def test_a_holder_stopped_past_the_expiry_of_its_lock_commits_nothing_more(
    postgresql: Engine, tmp_path: Path, settings: Any, capfd: Any, *, is_inside: bool
) -> None:
    require_redis()
    options = {"url": REDIS_URL, "expiry_seconds": 1.0, "prefix": f"test {tmp_path}"}
    settings.RUNBOOK = {"LOCK": {"BACKEND": "redis", "OPTIONS": options}}

    class Leased(Patient):
        lock_name = "leased"
        idle_limit_seconds = 2.0

    def stop() -> None:
        os.kill(os.getpid(), signal.SIGSTOP)

    class Stopped(Leased):
        def throttle(self) -> float | None:
            if not is_inside and Ledger.objects.using(self.database).count() == 6:
                stop()
            return super().throttle()

    stopped = Stopped(once(stop, at=8) if is_inside else lambda item: None)
    postgresql.fill(30)
    with postgresql.forked(postgresql.work(stopped, "--batch-size", 3)) as zombie:
        os.waitpid(zombie.pid, os.WUNTRACED)
        before = Ledger.objects.using(postgresql.alias).count()
        assert before == 6
        call(postgresql, Leased(), "--lock-wait", "30s", "--limit", 10)
        postgresql.connection.close()
        zombie.kill(signal.SIGCONT)
        assert zombie.wait() == 1
    assert Ledger.objects.using(postgresql.alias).count() == before + 10
    assert "stop" in capfd.readouterr().err
    call(postgresql, Leased(), "--lock-wait", "30s")
    assert postgresql.problems(30) == []
