"""Calls of several runs and by hand, in any order, process each row once per piece of work."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from django.core.management.base import CommandError
from django.db.models import QuerySet
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from django_runbook.batch.core.store import shard_labels
from django_runbook.models.checkpoints import Checkpoint, FinishedKey
from tests.batch.commands import CountItems, call, once
from tests.batch.engines import TABLES, Engine
from tests.batchapp.models import Item
from tests.examples import examples

ROW_COUNT = 6
SHARD_COUNTS = (1, 2, 3)


def counts(engine: Engine) -> dict[int, int]:
    return dict(Item.objects.using(engine.alias).order_by("pk").values_list("pk", "count"))


def unfinished(engine: Engine) -> QuerySet[Checkpoint]:
    return Checkpoint.objects.using(engine.alias).filter(finished_at=None)


@pytest.mark.parametrize("others", [("b",), ("b", "c", "b")], ids="".join)
@pytest.mark.parametrize("tokens", [(), ("--restart",)], ids=["continued", "restarted"])
def test_a_call_whose_work_other_runs_have_finished_is_not_repeated(
    sqlite: Engine, others: tuple[str, ...], tokens: tuple[str, ...]
) -> None:
    sqlite.fill(4)
    call(sqlite, CountItems(), "--limit", 1, *tokens, call_key="a:step")
    for run in others:
        call(sqlite, CountItems(), call_key=f"{run}:step")
    before = counts(sqlite)
    assert call(sqlite, CountItems(), *tokens, call_key="a:step")[0] == "0 done\n"
    assert counts(sqlite) == before
    assert call(sqlite, CountItems(), *tokens, call_key="d:step")[0] == "4 done\n"


def test_a_new_run_has_joined_the_work_whose_finished_shard_it_has_seen(sqlite: Engine) -> None:
    sqlite.fill(4)
    call(sqlite, CountItems(), "--shard", "1/2", call_key="old:step[1]")
    assert call(sqlite, CountItems(), "--shard", "1/2", call_key="new:step[1]")[0] == "0 done\n"
    # For example a worker of the old run, whose lock the new one waits for.
    call(sqlite, CountItems(), "--shard", "2/2", call_key="old:step[2]")
    assert call(sqlite, CountItems(), "--shard", "2/2", call_key="new:step[2]")[0] == "0 done\n"
    assert sqlite.problems(4) == []


def test_a_call_is_known_after_another_run_with_other_shards(sqlite: Engine) -> None:
    sqlite.fill(4)
    for shard in (1, 2):
        call(sqlite, CountItems(), "--shard", f"{shard}/2", call_key=f"a:step[{shard}]")
    call(sqlite, CountItems(), call_key="b:step")
    for shard in (2, 1):
        assert call(sqlite, CountItems(), "--shard", f"{shard}/2", call_key=f"a:step[{shard}]")[0] == "0 done\n"
    assert set(counts(sqlite).values()) == {2}


def test_work_that_was_discarded_is_finished_under_its_key(sqlite: Engine) -> None:
    sqlite.fill(4)
    call(sqlite, CountItems(), "--shard", "1/2", "--run-key", "monday")
    call(sqlite, CountItems(), "--restart", "--run-key", "tuesday")
    assert call(sqlite, CountItems(), "--shard", "2/2", "--run-key", "monday")[0] == "2 done\n"
    # Shard 1 had finished under its key, so that no call could finish it again.
    assert not unfinished(sqlite).exists()
    assert set(counts(sqlite).values()) == {2}


def test_a_shard_that_starts_over_without_a_key_has_no_key(sqlite: Engine) -> None:
    sqlite.fill(4)
    call(sqlite, CountItems(), "--shard", "1/2", "--run-key", "monday")
    call(sqlite, CountItems(), "--shard", "1/2", "--restart", "--limit", 1)
    assert [row.run_key for row in unfinished(sqlite).order_by("shard")] == ["", "monday"]
    call(sqlite, CountItems(), "--shard", "1/2")
    call(sqlite, CountItems(), "--shard", "2/2", "--run-key", "monday")
    assert sorted(counts(sqlite).values()) == [1, 1, 2, 2]


# -- random calls ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Calls the command for each shard: a loop of a run, in one of its passes, or somebody by hand (without a run)."""

    run: str
    number: int
    count: int
    has_restart: bool
    run_key: str

    def call_key(self, shard: int) -> str:
        if not self.run:
            return ""
        items = f"[{shard}]" if self.count > 1 else ""
        return f"{self.run}:step{items}" + ("" if self.number == 1 else f":{self.number}")

    def tokens(self, shard: int) -> list[object]:
        tokens: list[object] = ["--shard", f"{shard}/{self.count}", "--batch-size", 1]
        if self.has_restart:
            tokens.append("--restart")
        return [*tokens, "--run-key", self.run_key] if self.run_key else tokens


@dataclass(frozen=True, kw_only=True)
class Call:
    """Chooses one call; ``killed_at`` is the row at which it dies; if not ``is_known``, it dies after its last commit."""

    caller: int
    shard: int
    limit: int
    killed_at: int
    is_known: bool


@dataclass(kw_only=True)
class Account:
    """Counts what a caller has done: the rows, the shards that it knows to be done, and the count before its first call."""

    rows: dict[int, int] = field(default_factory=dict)
    ended: set[int] = field(default_factory=set)
    least: int | None = None


class Killed(BaseException):
    """Ends a command as if its process was killed."""


def die() -> None:
    raise Killed


@dataclass(kw_only=True)
class Model:
    """Makes calls and checks after each of them what must hold, whatever has been called before."""

    engine: Engine
    callers: list[Caller]
    accounts: list[Account]
    has_restarts: bool

    def make(self, one: Call) -> None:
        index = one.caller % len(self.callers)
        caller, own = self.callers[index], self.accounts[index]
        shard = 1 + one.shard % caller.count
        if caller.run and shard in own.ended:
            # A runner does not repeat what it knows to have succeeded.
            return
        before, starts = counts(self.engine), self._starts()
        note(f"{caller}, shard {shard}: {one}")
        is_done = self._call(caller, shard, one)
        after = counts(self.engine)
        note(f"{is_done}: {list(after.values())}")
        if own.least is None and (is_done or after != before):
            own.least = min(before.values())
        if not self._starts() <= starts:
            # Work has started over: what the other callers did before does not count.
            for account in self.accounts:
                if account is not own:
                    account.rows.clear()
        own.rows = {key: own.rows.get(key, 0) + count - before[key] for key, count in after.items()}
        if is_done and one.is_known and not one.limit:
            own.ended.add(shard)
        self._check(caller, own, after)

    def _call(self, caller: Caller, shard: int, one: Call) -> bool:
        command = CountItems(once(die, at=one.killed_at)) if one.killed_at else CountItems()
        limit = ["--limit", one.limit] if one.limit else []
        is_open = unfinished(self.engine).exists()
        refusal = ""
        try:
            call(self.engine, command, *caller.tokens(shard), *limit, call_key=caller.call_key(shard))
        except Killed:
            return False
        except CommandError as error:
            refusal = str(error)
        assert not refusal or ("unfinished" in refusal and (is_open or "under this run key" in refusal)), refusal
        return not refusal

    def _check(self, caller: Caller, own: Account, now: dict[int, int]) -> None:
        if caller.run:
            assert max(own.rows.values()) <= 1, "a row was done twice by the same loop"
        has_ended = len(own.ended) == caller.count
        if not self.has_restarts:
            is_open = unfinished(self.engine).exists()
            assert max(now.values()) - min(now.values()) <= is_open, "a row was done more often than another"
            if caller.run and has_ended and not caller.run_key:
                assert min(now.values()) > (own.least or 0), "a loop has left a row"
        known = set(FinishedKey.objects.using(self.engine.alias).values_list("run_key", "shard"))
        if caller.run_key and caller.run and has_ended:
            finished = {shard for key, shard in known if key == caller.run_key}
            assert any(finished.issuperset(shard_labels(count)) for count in SHARD_COUNTS), finished
        assert known.isdisjoint(unfinished(self.engine).values_list("run_key", "shard")), "no call can finish a key"

    def _starts(self) -> set[tuple[object, ...]]:
        return set(Checkpoint.objects.using(self.engine.alias).values_list("pk", "started_at"))

    def finish(self) -> None:
        """Finish by hand what is left."""
        for label in unfinished(self.engine).values_list("shard", flat=True):
            call(self.engine, CountItems(), "--shard", label or "1/1")
        assert not unfinished(self.engine).exists()
        assert self.has_restarts or len(set(counts(self.engine).values())) == 1


CALLERS = st.builds(
    Caller,
    run=st.sampled_from(["a", "b", "c", ""]),
    number=st.sampled_from([1, 1, 2]),
    count=st.sampled_from(SHARD_COUNTS),
    has_restart=st.booleans(),
    run_key=st.sampled_from(["", "", "x", "y"]),
)
CALLS = st.builds(
    Call,
    caller=st.integers(0, 3),
    shard=st.integers(0, 2),
    limit=st.sampled_from([0, 0, 0, 1, 2]),
    killed_at=st.sampled_from([0, 0, 0, 1, 2]),
    is_known=st.sampled_from([True, True, False]),
)


@pytest.mark.slow
@pytest.mark.parametrize("has_restarts", [False, True], ids=["continued", "restarted"])
@given(
    callers=st.lists(CALLERS, min_size=2, max_size=4, unique_by=lambda one: (one.run, one.number)),
    calls=st.lists(CALLS, min_size=3, max_size=14),
)
@settings(max_examples=examples(6), suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_each_row_is_done_once_per_piece_of_work(
    sqlite: Engine,
    has_restarts: bool,  # noqa: FBT001 - a parameter of the test
    callers: list[Caller],
    calls: list[Call],
) -> None:
    for model in reversed(TABLES):
        model._default_manager.using(sqlite.alias).all().delete()
    sqlite.fill(ROW_COUNT)
    if not has_restarts:
        callers = [Caller(**{**vars(one), "has_restart": False}) for one in callers]
    played = Model(engine=sqlite, callers=callers, accounts=[Account() for _ in callers], has_restarts=has_restarts)
    for one in calls:
        played.make(one)
    played.finish()
