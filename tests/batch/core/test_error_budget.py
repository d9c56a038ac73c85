"""Tests --max-errors over all shards of a piece of work, with restarts and retries."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from django.core.management.base import CommandError

from django_runbook.batch.core.batch_options import BatchOptions, ErrorLimit, Shard
from django_runbook.batch.core.dry_stores import NullStore
from django_runbook.batch.core.error_budget import ErrorBudget
from django_runbook.batch.core.retrying import TransientRetry
from django_runbook.batch.core.store import OtherShards, Position
from django_runbook.models.checkpoints import Checkpoint, FailedRow
from tests.batch.commands import CountItems, Whole, call, failing, pks
from tests.batch.engines import Engine
from tests.batchapp.models import Item


class Others(NullStore):
    """Knows what other shards have counted."""

    def __init__(self, others: OtherShards) -> None:
        super().__init__()
        self.others = others

    def other_shards(self) -> OtherShards:
        return self.others


def budget(limit: ErrorLimit, others: OtherShards, *, shards: int = 4, **values: Any) -> ErrorBudget:
    options = BatchOptions(batch_size=1, target_seconds=1, max_errors=limit, shard=Shard(number=1, count=shards))
    retry = TransientRetry(alias="default", wait=lambda seconds: False)
    return ErrorBudget(store=Others(others), options=options, retry=retry, **{"total_count": None, **values})


@pytest.mark.parametrize(
    ("others", "allowed_count"),
    [(0, 10), (4, 6), (10, 0), (12, 0)],
)
def test_the_failures_of_all_shards_count(others: int, allowed_count: int) -> None:
    found = budget(ErrorLimit(count=10), OtherShards(failed_count=others))
    assert [count for count in range(1, 12) if found.allows(Position(), count)] == list(range(1, allowed_count + 1))


@pytest.mark.parametrize(
    ("others", "own_total", "allowed_count"),
    [
        (OtherShards(total_count=400), None, 4),
        (OtherShards(total_count=400), 100, 4),
        (OtherShards(total_count=None), 300, 3),
        (OtherShards(total_count=400, failed_count=3), None, 1),
        (OtherShards(total_count=400, done_count=600), None, 6),
    ],
)
def test_a_share_is_that_of_all_rows(others: OtherShards, own_total: int | None, allowed_count: int) -> None:
    found = budget(ErrorLimit(percent=1.0), others, total_count=own_total)
    assert [count for count in range(1, 12) if found.allows(Position(), count)] == list(range(1, allowed_count + 1))


@pytest.mark.parametrize(
    ("failed_count", "shards", "can_lock", "needs_lock"),
    [(6, 4, True, False), (7, 4, True, True), (9, 4, True, True), (9, 1, True, False), (9, 4, False, False)],
)
def test_checkpoints_are_locked_near_the_limit(
    failed_count: int, shards: int, *, can_lock: bool, needs_lock: bool
) -> None:
    found = budget(ErrorLimit(count=10), OtherShards(), shards=shards, can_lock=can_lock)
    assert found.needs_lock(Position(failed_count=failed_count), 1) is needs_lock


def run(engine: Engine, bad: list[int], *tokens: object) -> str:
    """Run a command that fails for some rows; returns its output or its error."""
    try:
        return call(engine, CountItems(failing(*bad)), "--batch-size", 2, *tokens)[0]
    except CommandError as error:
        return str(error)


def states(engine: Engine) -> list[tuple[str, int, bool]]:
    rows = Checkpoint.objects.using(engine.alias).order_by("shard")
    return [(row.shard, row.failed_count, row.finished_at is not None) for row in rows]


FAILED = "1 failed; --retry-failed retries them"


# The rows 3, 9 and 15 of 18 are bad: one in each of three shards.
@pytest.mark.parametrize(
    ("calls", "recorded"),
    [
        pytest.param([("1/3 --max-errors 2", FAILED), ("2/3 --max-errors 2", FAILED), ("3/3 --max-errors 2", "stops")],
                     2, id="the third shard exceeds the limit"),
        pytest.param([("1/3 --max-errors 3", FAILED), ("2/3 --max-errors 3", FAILED), ("3/3 --max-errors 3", FAILED)],
                     3, id="the limit is reached and not exceeded"),
        pytest.param([("1/3 --max-errors 10%", FAILED), ("2/3 --max-errors 10%", "stops")],
                     1, id="a share of all rows"),
        pytest.param([("1/3 --max-errors 1", FAILED), ("2/3 --max-errors 1", "stops"), ("2/3 --max-errors 2", FAILED)],
                     2, id="a shard continues with a higher limit"),
        pytest.param([("1/3 --max-errors 1", FAILED), ("1/3 --max-errors 1 --restart", FAILED),
                      ("2/3 --max-errors 1", "stops")],
                     1, id="a restarted shard counts once"),
        pytest.param([("1/3 --max-errors 1", FAILED), ("2/3 --max-errors 1", "stops"),
                      ("1/3 --restart --max-errors 0", "stops"), ("2/3 --max-errors 1", FAILED)],
                     1, id="a restart frees what the shard has used"),
        pytest.param([("1/3 --max-errors 2", FAILED), ("--retry-failed", FAILED), ("2/3 --max-errors 1", "stops")],
                     1, id="a failed retry counts once"),
        pytest.param([("1/3 --max-errors 1", FAILED), ("--retry-failed fixed", "1 done\n"),
                      ("2/3 --max-errors 1", "stops")],
                     0, id="a row that has failed counts after its retry"),
        pytest.param([("1/3 --max-errors 3", FAILED), ("2/3 --max-errors 3", FAILED), ("3/3 --max-errors 3", FAILED),
                      ("1/3 --max-errors 1", FAILED)],
                     1, id="the next run counts from zero"),
        pytest.param([("1/3 --max-errors 1", FAILED), ("2/3 --max-errors 1 --dry-run", "1 would fail")],
                     1, id="a dry run counts its own failures"),
    ],
)  # fmt: skip
def test_the_limit_over_all_shards_in_each_state(sqlite: Engine, calls: list[tuple[str, str]], recorded: int) -> None:
    sqlite.fill(18)
    keys = pks(sqlite)
    bad = [keys[3], keys[9], keys[15]]
    for text, words in calls:
        tokens = text.replace(" fixed", "").split()
        tokens = tokens if tokens[0].startswith("--") else ["--shard", *tokens]
        out = run(sqlite, [] if "fixed" in text else bad, *tokens)
        assert out.endswith("is bad") if words == "stops" else out == words, (text, out)
    assert FailedRow.objects.using(sqlite.alias).count() == recorded


def test_each_shard_keeps_its_own_count(sqlite: Engine) -> None:
    sqlite.fill(18)
    keys = pks(sqlite)
    for number in (1, 2, 3):
        run(sqlite, [keys[3], keys[4], keys[15]], "--shard", f"{number}/3", "--max-errors", 2)
    assert states(sqlite) == [("1/3", 2, True), ("2/3", 0, True), ("3/3", 0, False)]


@pytest.mark.slow
@pytest.mark.parametrize("limit", [1, 7])
def test_shards_that_fail_at_the_same_time_do_not_exceed_the_limit(engine: Engine, limit: int) -> None:
    engine.fill(80)
    command = CountItems(failing(*pks(engine)))
    tokens = ("--max-errors", limit, "--batch-size", 3)
    with contextlib.ExitStack() as stack:
        works = [engine.work(command, "--shard", f"{number}/4", *tokens) for number in range(1, 5)]
        children = [stack.enter_context(engine.forked(work)) for work in works]
        assert [child.wait() for child in children] == 4 * [1]
    assert FailedRow.objects.using(engine.alias).count() == limit
    assert sum(count for _, count, _ in states(engine)) == limit
    assert not Item.objects.using(engine.alias).filter(count__gt=0).exists()


def test_the_failures_of_a_shard_in_one_transaction_count_too(sqlite: Engine) -> None:
    sqlite.fill(10)
    bad = failing(pks(sqlite)[1], pks(sqlite)[8])
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, Whole(bad), "--shard", "1/2", "--max-errors", 1)
    with pytest.raises(CommandError, match="is bad"):
        call(sqlite, Whole(bad), "--shard", "2/2", "--max-errors", 1)
