"""Tests that a dry run keeps nothing."""

from __future__ import annotations

from itertools import pairwise

import pytest
from django.core.management.base import CommandError
from django.db import transaction
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext

from django_runbook.models.checkpoints import Checkpoint, FailedRow
from tests.batch.commands import BOTH, CountItems, MarkItems, call, failing, left, pks
from tests.batch.engines import Engine
from tests.batchapp.models import (
    Item,
)


@BOTH
def test_a_dry_run_does_the_work_and_leaves_nothing(engine: Engine, command: type[CountItems]) -> None:
    engine.fill(5)
    looked: list[Item] = []
    assert call(engine, command(looked.append), "--dry-run", "--batch-size", 2)[0] == "5 would be done\n"
    assert len(looked) == 5
    assert set(Item.objects.using(engine.alias).values_list("count", flat=True)) == {0}
    assert left(engine) is None
    with pytest.raises(CommandError, match=r"batchapp.Item \d+: ValueError: \d+ is bad"):
        call(engine, command(failing(pks(engine)[3])), "--dry-run", "--batch-size", 2)
    with pytest.raises(CommandError, match="1 would fail"):
        call(engine, command(failing(pks(engine)[3])), "--dry-run", "--batch-size", 2, "--max-errors", 1)
    assert not FailedRow.objects.using(engine.alias).exists()


def test_a_transaction_of_a_dry_run_begins_with_a_write(sqlite: Engine) -> None:
    """One that begins with a read fails on SQLite where another process is writing."""
    sqlite.fill(4)
    with CaptureQueriesContext(sqlite.connection) as captured:
        call(sqlite, CountItems(), "--dry-run", "--batch-size", 2)
    statements = [query["sql"] for query in captured.captured_queries]
    first = [after for before, after in pairwise(statements) if before == "BEGIN" and after != "SAVEPOINT"]
    batches = [sql for sql in first if "UPDATE" in sql]
    assert len(batches) == 2


def test_a_dry_run_covers_the_rows_of_the_next_run(sqlite: Engine) -> None:
    sqlite.fill(5)
    call(sqlite, CountItems(), "--limit", 3)
    looked: list[Item] = []
    call(sqlite, CountItems(looked.append), "--dry-run")
    assert len(looked) == 2
    assert call(sqlite, CountItems())[0] == "2 done (5 including earlier runs)\n"


def test_a_dry_run_that_writes_nothing_may_run_in_a_transaction_of_the_caller(without_table: Engine) -> None:
    without_table.fill(3)
    with transaction.atomic():
        assert call(without_table, CountItems(), "--dry-run")[0].startswith("3 would be done")


def test_a_dry_run_of_a_shard_covers_the_rows_of_its_next_run(sqlite: Engine) -> None:
    def dry_run(*tokens: object) -> str:
        return call(sqlite, MarkItems(), *tokens, "--dry-run")[0]

    sqlite.fill(20)
    assert dry_run("--shard", "1/2") == "10 would be done\n"
    call(sqlite, MarkItems(), "--shard", "1/2")
    assert dry_run("--shard", "1/2") == "0 would be done\n"
    assert dry_run("--shard", "2/2") == "10 would be done\n"
    with pytest.raises(CommandError, match="unfinished with other shards"):
        dry_run("--shard", "1/3")
    assert dry_run("--shard", "1/2", "--restart") == "0 would be done\n"
    Item.objects.using(sqlite.alias).update(is_done=False)
    assert dry_run("--shard", "1/2", "--restart") == "10 would be done\n"
    assert call(sqlite, MarkItems(), "--shard", "2/2")[0] == "10 done\n"
    assert Checkpoint.objects.using(sqlite.alias).count() == 0


def test_a_dry_run_works_on_a_read_only_database(sqlite: Engine) -> None:
    class Look(CountItems):
        def process_batch(self, rows: QuerySet[Item]) -> int:
            return rows.count()

    sqlite.fill(4)
    cursor = sqlite.connection.cursor()
    cursor.execute("PRAGMA query_only = ON")
    try:
        assert call(sqlite, Look(), "--dry-run")[0].startswith("4 would be done")
    finally:
        cursor.execute("PRAGMA query_only = OFF")
