"""Tests restarts, repeated calls and the end of the work."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.core.management.base import CommandError
from django.db import OperationalError, connections

from django_runbook.batch.core import retrying
from django_runbook.batch.core.new_checkpoints import NewCheckpoints
from django_runbook.batch.core.work import ShardRange
from django_runbook.batch.sources.queryset_source import QuerySetSource
from django_runbook.models.checkpoints import Checkpoint
from tests.batch.commands import BOTH, CountItems, call, errors_of, failing, is_waiting, pks
from tests.batch.engines import KILLED, Engine
from tests.batchapp.models import (
    Item,
    Ledger,
)
from tests.patience import wait_until


def test_a_restart_starts_over(sqlite: Engine) -> None:
    sqlite.fill(4)
    call(sqlite, CountItems(), "--limit", 2)
    assert call(sqlite, CountItems(), "--restart")[0] == "4 done\n"
    assert list(Item.objects.using(sqlite.alias).order_by("pk").values_list("count", flat=True)) == [2, 2, 1, 1]


def test_a_finished_call_of_a_runner_is_not_repeated(sqlite: Engine) -> None:
    sqlite.fill(3)
    assert call(sqlite, CountItems(), call_key="run 1, step 2")[0] == "3 done\n"
    assert call(sqlite, CountItems(), call_key="run 1, step 2")[0] == "0 done\n"
    assert sqlite.problems(3) == []
    assert call(sqlite, CountItems(), call_key="run 2, step 2")[0] == "3 done\n"


@pytest.mark.parametrize(
    ("by_hand", "count"),
    [([()], 1), ([("--restart",)], 2), ([(), ()], 2), ([("--limit", 2), ()], 1), ([(), ("--limit", 2), ()], 2)],
    ids=["finished", "started over", "done again", "in two runs", "done again in two runs"],
)
@pytest.mark.parametrize("tokens", [(), pytest.param(("--shard", "1/1"), marks=pytest.mark.slow)])
def test_a_call_of_a_runner_finished_by_hand_is_not_repeated(
    sqlite: Engine, by_hand: list[tuple[object, ...]], count: int, tokens: tuple[str, ...]
) -> None:
    sqlite.fill(6)
    first = pks(sqlite)[0]
    call(sqlite, CountItems(), "--limit", 1, *tokens, call_key="run 1, step 2")
    for options in by_hand:
        call(sqlite, CountItems(), *options)
    assert call(sqlite, CountItems(), *tokens, call_key="run 1, step 2")[0] == "0 done\n"
    assert Item.objects.using(sqlite.alias).get(pk=first).count == count
    # The next call takes the place of the old one, and leaves one row as well.
    assert call(sqlite, CountItems(), call_key="run 2, step 2")[0] == "6 done\n"
    assert Checkpoint.objects.using(sqlite.alias).get().call_key == "run 2, step 2"


def test_shards_finished_by_hand_are_not_repeated(sqlite: Engine) -> None:
    sqlite.fill(10)
    call(sqlite, CountItems(), "--shard", "1/2", "--limit", 2, call_key="run 1, shards[0]")
    for shard in ("2/2", "1/2"):
        call(sqlite, CountItems(), "--shard", shard)
    assert call(sqlite, CountItems(), "--shard", "1/2", call_key="run 1, shards[0]")[0] == "0 done\n"
    assert sqlite.problems(10) == []


def test_the_call_of_a_runner_starts_over_once(sqlite: Engine) -> None:
    sqlite.fill(3)
    call(sqlite, CountItems(), "--limit", 1)
    call(sqlite, CountItems(), "--restart", "--limit", 2, "--batch-size", 2, call_key="run 1, step 2")
    assert call(sqlite, CountItems(), "--restart", call_key="run 1, step 2")[0] == "1 done (3 including earlier runs)\n"
    assert call(sqlite, CountItems(), "--restart", call_key="run 1, step 2")[0] == "0 done\n"
    assert [item.count for item in Item.objects.using(sqlite.alias).order_by("pk")] == [2, 1, 1]
    assert call(sqlite, CountItems(), "--restart", call_key="run 2, step 2")[0] == "3 done\n"


@pytest.mark.parametrize(
    ("error", "is_reported"),
    [(OperationalError("database is locked"), False), (KeyboardInterrupt(), True)],
    ids=["busy", "killed"],
)
@pytest.mark.parametrize(("first", "second"), [((), ()), (("--limit", 4, "--batch-size", 2), ("--restart",))])
def test_a_call_that_fails_while_starting_over_has_not_started(
    sqlite: Engine,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    is_reported: bool,  # noqa: FBT001 - a parameter of the test
    first: tuple[object, ...],
    second: tuple[object, ...],
) -> None:
    create, errors = NewCheckpoints._create, iter([error])

    def fail_once(new: Any, *values: Any, **options: Any) -> Any:
        for one in errors:
            raise one
        return create(new, *values, **options)

    sqlite.fill(6)
    call(sqlite, CountItems(), *first, call_key="run 1, step 2")
    monkeypatch.setattr(NewCheckpoints, "_create", fail_once)
    monkeypatch.setattr(CountItems, "wait", lambda self, seconds: False)
    if is_reported:
        with pytest.raises(KeyboardInterrupt):
            call(sqlite, CountItems(), *second, call_key="run 2, step 2")
    assert call(sqlite, CountItems(), *second, call_key="run 2, step 2")[0] == "6 done\n"


@BOTH
@pytest.mark.parametrize("arguments", [(), ("--restart",)])
def test_failed_rows_fail_the_repeated_call_again(
    sqlite: Engine, command: type[CountItems], arguments: tuple[str, ...]
) -> None:
    sqlite.fill(4)
    bad = pks(sqlite)[1]
    for _ in range(2):
        with pytest.raises(CommandError, match="1 failed; --retry-failed"):
            call(sqlite, command(failing(bad)), "--max-errors", 1, *arguments, call_key="run 1, step 2")
    assert call(sqlite, command(), "--retry-failed")[0] == "1 done\n"
    assert call(sqlite, command(), *arguments, call_key="run 1, step 2")[0] == "0 done\n"
    assert sqlite.problems(4) == []


@pytest.mark.parametrize(("shard", "count"), [("1/2", 5), ("2/2", 8)])
def test_a_restarted_shard_includes_rows_added_before_its_cursor(sqlite: Engine, shard: str, count: int) -> None:
    sqlite.fill(10)
    call(sqlite, CountItems(), "--shard", shard, "--limit", 2, "--batch-size", 1)
    sqlite.fill(3)
    assert call(sqlite, CountItems(), "--shard", shard, "--restart")[0] == f"{count} done\n"


def test_a_shard_that_has_finished_waits_for_the_others(sqlite: Engine) -> None:
    sqlite.fill(10)
    call(sqlite, CountItems(), "--shard", "1/2")
    out, err = call(sqlite, CountItems(), "--shard", "1/2")
    assert (out, err) == ("0 done\n", "shard 1/2 has finished; the run ends when its other shards have finished\n")
    with pytest.raises(CommandError, match="unfinished with other shards"):
        call(sqlite, CountItems())
    with pytest.raises(CommandError, match="unfinished with other shards"):
        call(sqlite, CountItems(), "--shard", "1/3")
    call(sqlite, CountItems(), "--shard", "2/2")
    assert sqlite.problems(10) == []
    assert call(sqlite, CountItems())[0] == "10 done\n"


# Each order takes eight combinations, so one is enough for `make test-fast`.
ORDERS = [
    (3, 1, 2),
    *(pytest.param(one, marks=pytest.mark.slow) for one in itertools.permutations((1, 2, 3)) if one != (3, 1, 2)),
]


@pytest.mark.parametrize("order", ORDERS, ids=str)
@pytest.mark.parametrize("tokens", [(), ("--restart",)], ids=["continued", "restarted"])
@pytest.mark.parametrize("number", ["", ":2"], ids=["first pass", "second pass"])
@pytest.mark.parametrize("finished", [(1,), (2, 3)], ids=str)
def test_a_new_run_does_each_shard_once_in_any_order(
    sqlite: Engine, order: tuple[int, ...], tokens: tuple[str, ...], number: str, finished: tuple[int, ...]
) -> None:
    sqlite.fill(9)
    for shard in finished:
        call(sqlite, CountItems(), "--shard", f"{shard}/3", call_key=f"old:shards[{shard - 1}]")
    for shard in order:
        # Another worker may have the call again, for example after it died before it stored the end.
        for _ in range(2):
            key = f"new:shards[4,{shard - 1}]{number}"
            call(sqlite, CountItems(), "--shard", f"{shard}/3", *tokens, call_key=key)
    twice = 3 * len(finished) if tokens else 0
    counts = sorted(Item.objects.using(sqlite.alias).values_list("count", flat=True))
    assert counts == [1] * (9 - twice) + [2] * twice
    # What has finished is done again by the loop of another run, or of another item around it.
    call(sqlite, CountItems(), "--shard", "1/3", call_key="new:shards[5,0]")
    assert sum(Item.objects.using(sqlite.alias).values_list("count", flat=True)) == sum(counts) + 3
    assert Checkpoint.objects.using(sqlite.alias).exclude(finished_at=None).count() == 1


def test_an_end_with_a_lost_answer_counts(sqlite: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retrying, "_FIRST_DELAY_SECONDS", 0.001)
    sqlite.fill(2)
    connection: Any = sqlite.connection
    commit, is_lost = connection._commit, [False]

    def lose_answer() -> None:
        commit()
        if not is_lost[0] and not Checkpoint.objects.using(sqlite.alias).exists():
            is_lost[0] = True
            raise OperationalError("server closed the connection unexpectedly")

    class Watched(CountItems):
        def throttle(self) -> None:
            monkeypatch.setattr(connection, "_commit", lose_answer)

    assert call(sqlite, Watched(), "--batch-size", 1)[0] == "2 done\n"
    assert is_lost[0]
    assert sqlite.problems(2) == []


def test_a_checkpoint_that_was_wiped_ends_the_run(sqlite: Engine) -> None:
    sqlite.fill(6)

    class Wiping(CountItems):
        def throttle(self) -> float | None:
            Checkpoint.objects.using(sqlite.alias).all().delete()
            return None

    with pytest.raises(CommandError, match="the checkpoint of test_checkpoint was deleted") as caught:
        errors_of(sqlite, Wiping(), "--batch-size", 2)
    assert caught.value.returncode == 1
    assert Ledger.objects.using(sqlite.alias).count() == 2


# -- shards that begin at the same moment ------------------------------------------------------------------------------


class Bounding(CountItems):
    """Writes into a file when it begins and when it has computed the bounds, and then takes some time."""

    def __init__(self, path: Path, *, dawdle: Callable[[], object] = lambda: None) -> None:
        super().__init__()
        self.path = path
        self.dawdle = dawdle

    def handle(self, *args: Any, **options: Any) -> None:
        self._note("begun")
        bounds_of = QuerySetSource.shard_bounds

        def computed(source: QuerySetSource, count: int) -> list[ShardRange]:
            found = bounds_of(source, count)
            self._note("bounds")
            self.dawdle()
            return found

        with mock.patch.object(QuerySetSource, "shard_bounds", computed):
            super().handle(*args, **options)

    def _note(self, word: str) -> None:
        with self.path.open("a") as file:
            file.write(f"{word}\n")


def notes(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


@pytest.mark.slow
def test_shards_that_begin_at_once_compute_the_bounds_once(engine: Engine, tmp_path: Path) -> None:
    engine.fill(60)
    path = tmp_path / "notes"
    command = Bounding(path, dawdle=lambda: wait_until(lambda: notes(path).count("begun") == 6, what="all shards"))
    with contextlib.ExitStack() as stack:
        works = [engine.work(command, "--shard", f"{number}/6", "--batch-size", 5) for number in range(1, 7)]
        children = [stack.enter_context(engine.forked(work)) for work in works]
        assert [child.wait() for child in children] == 6 * [0]
    assert notes(path).count("bounds") == 1
    assert engine.problems(60) == []
    assert engine.is_finished()


@pytest.mark.slow
def test_another_shard_computes_the_bounds_if_the_first_one_dies(engine: Engine, tmp_path: Path) -> None:
    engine.fill(20)
    path = tmp_path / "notes"
    hanging = Bounding(path, dawdle=lambda: wait_until(lambda: False, what="the kill"))
    with engine.forked(engine.work(hanging, "--shard", "1/2")) as first:
        wait_until(lambda: "bounds" in notes(path), what="the bounds of the first shard")
        with engine.forked(engine.work(Bounding(path), "--shard", "2/2")) as second:
            if engine.vendor == "sqlite":
                wait_until(lambda: notes(path).count("begun") == 2, what="the second shard")
            else:
                wait_until(lambda: is_waiting(engine), what="the second shard waits")
            assert second.is_running()
            first.kill()
            assert first.wait() == KILLED
            assert second.wait() == 0
    assert notes(path).count("bounds") == 2
    assert engine.run(Bounding(path), "--shard", "1/2") == 0
    assert notes(path).count("bounds") == 2
    assert engine.problems(20) == []


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["postgresql", "mariadb"], indirect=True)
def test_a_shard_that_waits_for_the_bounds_can_be_stopped(engine: Engine, tmp_path: Path) -> None:
    engine.fill(20)
    path = tmp_path / "notes"
    hanging = Bounding(path, dawdle=lambda: wait_until(lambda: False, what="the kill"))
    with engine.forked(engine.work(hanging, "--shard", "1/2")) as first:
        wait_until(lambda: "bounds" in notes(path), what="the bounds of the first shard")
        with engine.forked(engine.work(Bounding(path), "--shard", "2/2")) as second:
            wait_until(lambda: notes(path).count("begun") == 2, what="the second shard")
            second.kill(signal.SIGTERM)
            assert second.wait() == 128 + signal.SIGTERM
        first.kill()
    assert notes(path).count("bounds") == 1
    assert not Checkpoint.objects.using(engine.alias).exists()


# -- shards that end at the same moment --------------------------------------------------------------------------------

_SEARCH = re.compile(r"SELECT .*finished_at\W* IS NULL", re.DOTALL)


class Meeting(CountItems):
    """Waits once it has searched for unfinished shards, until another shard has done so as well."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path

    def handle(self, *args: Any, **options: Any) -> None:
        with connections[self.database].execute_wrapper(self._execute):
            super().handle(*args, **options)

    def _execute(self, execute: Any, sql: str, *args: Any) -> Any:
        result = execute(sql, *args)
        if _SEARCH.match(sql):
            with self.path.open("a") as file:
                file.write(f"{os.getpid()}\n")
            wait_until(lambda: len(set(notes(self.path))) == 2, what="both shards have searched")
        return result


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["postgresql", "mariadb"], indirect=True)
def test_shards_that_end_at_once_leave_no_checkpoint(engine: Engine, tmp_path: Path) -> None:
    engine.fill(10)
    works = [engine.work(Meeting(tmp_path / "notes"), "--shard", f"{number}/2") for number in (1, 2)]
    with engine.forked(works[0]) as first, engine.forked(works[1]) as second:
        assert (first.wait(), second.wait()) == (0, 0)
    assert engine.problems(10) == []
    assert engine.is_finished()
