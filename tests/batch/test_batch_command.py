"""Tests that a batch command processes each row once, even if it is killed at any point."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management.base import CommandError
from django.db.models import QuerySet

from django_runbook.models.checkpoints import Checkpoint, FinishedKey
from tests.batch.commands import BOTH, CountBatches, CountItems, MarkItems, Unlocked, call, left
from tests.batch.engines import KILL_ROUNDS, KILLED, VENDORS, Engine, dies_at
from tests.batchapp.models import (
    Item,
)
from tests.patience import scaled


@BOTH
@pytest.mark.parametrize("count", [0, 1, 2, 4, 5])
def test_each_row_is_done_once_and_the_checkpoint_is_deleted(
    sqlite: Engine, command: type[CountItems], count: int
) -> None:
    sqlite.fill(count)
    out, _ = call(sqlite, command(), "--batch-size", 2)
    assert out == f"{count} done\n"
    assert sqlite.problems(count) == []
    assert left(sqlite) is None


@BOTH
def test_a_batch_size_is_exact(sqlite: Engine, command: type[CountItems]) -> None:
    sqlite.fill(7)
    counts = []

    class Looking(command):  # type: ignore[valid-type,misc]  # a class that is a parameter
        def throttle(self) -> None:
            row = left(sqlite)
            assert row is not None
            counts.append(row.done_count)

    assert call(sqlite, Looking(), "--batch-size", 3)[0] == "7 done\n"
    assert counts == [3, 6]


def test_a_command_without_work_is_reported(sqlite: Engine) -> None:
    class Idle(Unlocked):
        def get_queryset(self) -> QuerySet[Item]:
            return Item.objects.all()

    with pytest.raises(CommandError, match="neither"):
        call(sqlite, Idle())


IS_FULL = KILL_ROUNDS > 8
# In the full run each command on each engine; else one on each, and the others where it is quick.
CASES = [
    (vendor, command)
    for vendor in VENDORS
    for command in (CountItems, CountBatches, MarkItems)
    if IS_FULL or command is CountItems or vendor == "sqlite"
]
EACH = [pytest.param(vendor, command, id=f"{vendor}-{command.__name__}") for vendor, command in CASES]
ITEM_COUNT = 3000 if IS_FULL else 600
# In the full run each case is killed at each point; else each point is one of one case.
STRIDE = 1 if IS_FULL else len(CASES)


def kill_at_the_points(engine: Engine, command: type[CountItems], kill_at: Callable[[int], bool]) -> None:
    """Calls ``kill_at`` for points up to the end, and for all points near it; it returns whether the process reached the point."""
    first = 1 + CASES.index((engine.vendor, command)) % STRIDE
    number = first
    while kill_at(number):
        number += STRIDE
    for near_the_end in range(number - STRIDE + 1, number):
        kill_at(near_the_end)
    assert number > 15


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "command"), EACH, indirect=["engine"])
def test_killed_at_each_statement_every_row_is_done_once(engine: Engine, command: type[CountItems]) -> None:
    def kill_at(number: int) -> bool:
        engine.clear()
        engine.fill(3)
        with engine.forked(dies_at(number, engine, engine.work(command(), "--batch-size", 2))) as child:
            code = child.wait()
        assert code in {0, KILLED}
        # A process that is killed after its last commit has finished: the next one would start over.
        if code == KILLED and not engine.is_finished():
            assert engine.are_counts_right(), f"at point {number}"
            assert engine.run(command(), "--batch-size", 2) == 0
        assert engine.problems(3) == [], f"at point {number}"
        assert not Checkpoint.objects.using(engine.alias).exists()
        return code == KILLED

    kill_at_the_points(engine, command, kill_at)


@pytest.mark.slow
@pytest.mark.parametrize(("engine", "command"), EACH, indirect=["engine"])
def test_under_a_run_key_every_row_is_done_once_even_if_killed_after_the_last_commit(
    engine: Engine, command: type[CountItems]
) -> None:
    tokens = ("--batch-size", 2, "--run-key", "2026-01-31")
    finished_before_the_kill = []

    def kill_at(number: int) -> bool:
        engine.clear()
        engine.fill(3)
        with engine.forked(dies_at(number, engine, engine.work(command(), *tokens))) as child:
            code = child.wait()
        assert code in {0, KILLED}
        if code == KILLED and engine.is_finished():
            finished_before_the_kill.append(number)
        # A job that was killed is repeated as it was.
        assert engine.run(command(), *tokens) == 0
        assert engine.problems(3) == [], f"at point {number}"
        assert not Checkpoint.objects.using(engine.alias).exists()
        assert FinishedKey.objects.using(engine.alias).get().done_count == 3
        return code == KILLED

    kill_at_the_points(engine, command, kill_at)
    assert finished_before_the_kill


@pytest.mark.slow
def test_killed_at_random_every_row_is_done_once(engine: Engine, settings: Any) -> None:
    command = CountItems()
    # A lock that was not released ends the next start with 75.
    command.lock_name = f"killed on {engine.alias}"
    lock_wait = "0s"
    if engine.vendor != "sqlite":
        settings.RUNBOOK = {**settings.RUNBOOK, "LOCK": {"BACKEND": "database", "OPTIONS": {"alias": engine.alias}}}
        lock_wait = f"{scaled(10)}s"  # a server hears a little later that its client is gone
    seed = int(os.environ.get("RUNBOOK_KILL_SEED", "0")) or random.randrange(1, 10**9)
    chance = random.Random(seed)
    kill_count = run_count = 0
    while kill_count < KILL_ROUNDS:
        engine.clear()
        engine.fill(ITEM_COUNT)
        run_count += 1
        code = KILLED
        while code == KILLED:
            # As a runner calls it: once more after its end does nothing.
            tokens = ("--batch-size", chance.choice([1, 7, 50]), "--lock-wait", lock_wait)
            work = engine.work(command, *tokens, call_key=f"run {run_count}")
            with engine.forked(work) as child:
                if kill_count < KILL_ROUNDS:
                    time.sleep(chance.uniform(0.01, 0.15))
                    child.kill()
                code = child.wait()
            kill_count += code == KILLED
            assert code in {0, KILLED}
            assert engine.are_counts_right(), f"seed {seed}, kill {kill_count}"
        assert engine.problems(ITEM_COUNT) == [], f"seed {seed}"
        assert Checkpoint.objects.using(engine.alias).get().finished_at is not None
