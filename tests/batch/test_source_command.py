"""Tests stops, locks and transactions of whole commands."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import CommandError

from django_runbook.batch import BatchCommand
from django_runbook.batch.core.batch_options import Shard
from django_runbook.locks import watching
from tests.batch.commands import (
    BOTH,
    CountBatches,
    CountItems,
    Patient,
    Whole,
    call,
    errors_of,
    failing,
    left,
    once,
    pks,
)
from tests.batch.engines import Engine
from tests.batchapp.models import (
    Item,
    Ledger,
)
from tests.patience import PATIENCE_SECONDS, scaled, wait_until
from tests.services import REDIS_URL, require_redis


def test_a_command_can_be_one_transaction(engine: Engine) -> None:
    engine.fill(5)
    bad = pks(engine)[3]
    with pytest.raises(CommandError, match=f"Item {bad}"):
        call(engine, Whole(failing(bad)), "--batch-size", 2)
    assert set(Item.objects.using(engine.alias).values_list("count", flat=True)) == {0}
    assert left(engine) is None
    with pytest.raises(CommandError, match="1 failed"):
        call(engine, Whole(failing(bad)), "--batch-size", 2, "--max-errors", 1)
    assert Item.objects.using(engine.alias).filter(count=1).count() == 4


@pytest.mark.parametrize(
    ("command", "tokens", "words"),
    [(CountItems, (), "recorded as failed"), (Whole, (), "failed"), (CountItems, ("--dry-run",), "would fail")],
    ids=["a batch", "one transaction", "a dry run"],
)
def test_the_outcome_of_a_failed_row_is_reported(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch, command: type[CountItems], tokens: tuple[str, ...], words: str
) -> None:
    sqlite.fill(3)
    bad = pks(sqlite)[1]
    failing_command = command(failing(bad))
    reported: list[str] = []
    monkeypatch.setattr(failing_command, "write_message", reported.append)
    with pytest.raises(CommandError, match=r"1 failed|1 would fail"):
        call(sqlite, failing_command, "--max-errors", 1, *tokens)
    assert reported == [f"batchapp.Item {bad}: ValueError: {bad} is bad; {words}"]


def test_a_stop_rolls_back_a_command_that_is_one_transaction(sqlite: Engine) -> None:
    sqlite.fill(5)
    command = Whole()
    command.look = lambda item: command.request_stop("enough")
    call(sqlite, command, "--batch-size", 2)
    assert set(Item.objects.using(sqlite.alias).values_list("count", flat=True)) == {0}
    assert left(sqlite) is None


@BOTH
def test_a_stop_keeps_complete_batches(engine: Engine, command: type[CountItems]) -> None:
    engine.fill(10)
    third = pks(engine)[2]
    stopped = command()
    stopped.look = lambda item: stopped.request_stop("enough") if item.pk == third else None
    _, err = call(engine, stopped, "--batch-size", 5)
    count = 3 if command is CountItems else 5
    assert err == f"stopped (enough); {count} done; the next run continues from there\n"
    assert engine.are_counts_right()
    assert Item.objects.using(engine.alias).filter(count=1).count() == count
    call(engine, command())
    assert engine.problems(10) == []


def test_shards_and_dry_runs_have_locks_of_their_own() -> None:
    command = BatchCommand()
    assert command.get_lock_name() == "command batch_command"
    assert command.get_lock_name(shard=Shard(number=1, count=8)) == "command batch_command, shard 1/8"
    assert command.get_lock_name(shard="1/8") == "command batch_command, shard 1/8"
    assert command.get_lock_name(shard=Shard(number=1, count=1)) == "command batch_command"
    assert command.get_lock_name(dry_run=True) is None


@pytest.mark.slow
@pytest.mark.parametrize(("command", "least", "most"), [(CountItems, 11, 12), (CountBatches, 1000, 1000)])
def test_sigterm_in_a_batch_of_a_thousand_keeps_complete_items(
    engine: Engine, command: type[CountItems], least: int, most: int
) -> None:
    # A few more than the batch: what remains of a batch, and a batch that follows.
    engine.fill(1010)
    stopped = command(once(lambda: os.kill(os.getpid(), signal.SIGTERM), at=11))
    assert engine.run(stopped, "--batch-size", 1000) == 128 + signal.SIGTERM
    assert least <= Ledger.objects.using(engine.alias).count() <= most
    assert engine.are_counts_right()
    assert engine.run(command(), "--batch-size", 1000) == 0
    assert engine.problems(1010) == []


@pytest.mark.slow
def test_sigterm_ends_a_pause(sqlite: Engine) -> None:
    sqlite.fill(4)
    with sqlite.forked(sqlite.work(CountItems(), "--batch-size", 2, "--pause", 3600)) as child:
        wait_until(lambda: Ledger.objects.using(sqlite.alias).count() == 2, what="the first batch")
        sqlite.connection.close()
        child.kill(signal.SIGTERM)
        assert child.wait() == 128 + signal.SIGTERM


class Locked(CountItems):
    """One at a time, under a name that no other test has."""


@pytest.fixture
def locked(tmp_path: Path, settings: Any) -> type[Locked]:
    settings.RUNBOOK = {"LOCK": {"BACKEND": "file", "OPTIONS": {"directory": str(tmp_path)}}}
    return type("Locked", (Locked,), {"lock_name": f"test {tmp_path}", "__module__": CountItems.__module__})


@pytest.mark.slow
def test_a_second_process_exits_and_names_the_first(engine: Engine, locked: type[Locked]) -> None:
    engine.fill(20)
    # It holds the lock until it is killed, in its second batch.
    holder = locked(once(lambda: time.sleep(PATIENCE_SECONDS), at=2))
    with engine.forked(engine.work(holder, "--batch-size", 1)) as child:
        wait_until(lambda: Ledger.objects.using(engine.alias).exists(), what="the first batch")
        with pytest.raises(CommandError, match=f"process {child.pid}") as caught:
            errors_of(engine, locked())
        assert caught.value.returncode == 75
        engine.connection.close()
        child.kill()
        child.wait()
    assert engine.are_counts_right()
    errors_of(engine, locked())
    assert engine.problems(20) == []


def test_a_lost_lock_stops_the_command(
    sqlite: Engine, locked: type[Locked], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "INTERVAL_SECONDS", 0.01)
    sqlite.fill(100)
    command = locked()

    def lose() -> None:
        (path,) = tmp_path.glob("*.lock")
        path.unlink()
        # As of somebody who has acquired it since.
        path.touch(mode=0o600)
        wait_until(lambda: command.stopping, what="the loss is noticed")

    command.look = once(lose)
    with pytest.raises(CommandError, match="was lost") as caught:
        errors_of(sqlite, command, "--batch-size", 1)
    # 75 would say that nothing was done.
    assert caught.value.returncode == 1
    assert sqlite.are_counts_right()
    errors_of(sqlite, Patient())
    assert sqlite.problems(100) == []


@pytest.mark.slow
@pytest.mark.parametrize("is_inside", [False, True], ids=["between batches", "inside its transaction"])
def test_a_holder_suspended_beyond_the_expiry_of_its_lock_commits_nothing_more(
    postgresql: Engine, tmp_path: Path, settings: Any, capfd: Any, *, is_inside: bool
) -> None:
    require_redis()
    options = {"url": REDIS_URL, "expiry_seconds": scaled(1.0), "prefix": f"test {tmp_path}"}
    settings.RUNBOOK = {"LOCK": {"BACKEND": "redis", "OPTIONS": options}}

    class Leased(Patient):
        lock_name = "leased"
        idle_limit_seconds = scaled(2.0)

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
        errors_of(postgresql, Leased(), "--lock-wait", f"{scaled(30)}s", "--limit", 10)
        postgresql.connection.close()
        zombie.kill(signal.SIGCONT)
        assert zombie.wait() == 1
    assert Ledger.objects.using(postgresql.alias).count() == before + 10
    assert "stop" in capfd.readouterr().err
    errors_of(postgresql, Leased(), "--lock-wait", f"{scaled(30)}s")
    assert postgresql.problems(30) == []
