"""Tests limits, progress, totals and final passes."""

from __future__ import annotations

import contextlib
import io
import sqlite3
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db.models import QuerySet
from django.test.utils import CaptureQueriesContext

from django_runbook.batch.parts import progress_outputs
from tests.batch.commands import CountBatches, CountItems, MarkItems, Skipping, call, failing, left, pks
from tests.batch.engines import Engine
from tests.batchapp.models import (
    Item,
    WithColumns,
)


def test_a_limit_ends_a_run_and_the_next_one_continues(sqlite: Engine) -> None:
    sqlite.fill(10)
    out, _ = call(sqlite, CountItems(), "--batch-size", 2, "--limit", 3)
    assert out == "3 done; the next run continues from there\n"
    row = left(sqlite)
    assert row is not None
    assert (row.command, row.done_count, row.cursor) == ("commands", 3, f'["{pks(sqlite)[2]}"]')
    assert call(sqlite, CountItems())[0] == "7 done (10 including earlier runs)\n"
    assert sqlite.problems(10) == []


def test_a_limit_that_takes_all_rows_finishes_the_work(sqlite: Engine) -> None:
    sqlite.fill(5)
    assert call(sqlite, CountItems(), "--limit", 5)[0] == "5 done\n"
    assert call(sqlite, CountItems(), "--limit", 3)[0] == "3 done; the next run continues from there\n"
    assert call(sqlite, CountItems(), "--limit", 2)[0] == "2 done (5 including earlier runs)\n"


def test_a_dry_run_with_a_limit_counts_its_own_rows_and_mentions_no_next_run(sqlite: Engine) -> None:
    sqlite.fill(9)
    call(sqlite, CountItems(), "--limit", 4)
    out, _ = call(sqlite, CountItems(), "--limit", 2, "--dry-run")
    assert out == "2 would be done (6 including earlier runs); more rows remain\n"


@pytest.mark.parametrize(
    ("tokens", "counts"),
    [
        (("--limit", 4), [(0, 4, 0), (2, 4, 0), (4, 4, 0)]),
        (("--limit", 100), [(0, 6, 0), (2, 6, 0), (4, 6, 0), (6, 6, 0)]),
        ((), [(3, 9, 0), (5, 9, 0), (7, 9, 0), (9, 9, 0)]),
    ],
    ids=["fewer than there are", "more than there are", "no limit"],
)
def test_progress_under_a_limit_is_that_of_this_run(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch, tokens: tuple[Any, ...], counts: list[tuple[int, int, int]]
) -> None:
    monkeypatch.setattr(progress_outputs.CallbackOutput, "interval_seconds", 0)
    sqlite.fill(9)
    call(sqlite, CountItems(), "--limit", 3)
    reported: list[tuple[int, int | None, int]] = []
    call(sqlite, CountItems(), "--batch-size", 2, *tokens, progress=lambda *numbers: reported.append(numbers))
    # Before it is counted, the first one has no total.
    assert [(done, total or reported[-1][1], failed) for done, total, failed in dict.fromkeys(reported)] == counts


def test_progress_lines_name_the_command(sqlite: Engine) -> None:
    sqlite.fill(3)
    err = io.StringIO()
    tokens = ("--database", sqlite.alias, "--verbosity", "2")
    call_command(CountItems(), *tokens, stdout=io.StringIO(), stderr=err)
    assert err.getvalue()
    assert all(line.startswith(f"{CountItems()._name}: ") for line in err.getvalue().splitlines())


def test_a_limit_counts_rows_that_the_work_does_not_count(sqlite: Engine) -> None:
    looked: list[Item] = []

    class Idle(CountBatches):
        def process_batch(self, rows: QuerySet[Item]) -> int | None:
            super().process_batch(rows)
            return 0

    sqlite.fill(20)
    call(sqlite, Idle(looked.append), "--limit", 7, "--batch-size", 5)
    assert len(looked) == 7
    call(sqlite, Idle(looked.append), "--limit", 7, "--batch-size", 5)
    assert len(looked) == 14


def test_a_final_pass_does_rows_committed_before_the_cursor(sqlite: Engine) -> None:
    sqlite.fill(10)
    first = pks(sqlite)[0]
    Item.objects.using(sqlite.alias).filter(pk=first).delete()

    def commit_late(item: Item) -> None:
        if item.pk == first + 8:
            Item.objects.using(sqlite.alias).create(pk=first)

    assert call(sqlite, MarkItems(commit_late), "--batch-size", 3)[0] == "10 done\n"
    assert sqlite.problems(10) == []


def test_a_final_pass_over_a_join_does_not_stop_at_one_failed_row(sqlite: Engine) -> None:
    def add(pk: int, count: int) -> None:
        Item.objects.using(sqlite.alias).create(pk=pk)
        WithColumns.objects.using(sqlite.alias).bulk_create([WithColumns(parent_id=pk) for _ in range(count)])

    def look(item: Item) -> None:
        failing(10)(item)
        if item.pk == 100:
            add(50, 1)

    class Joined(MarkItems):
        def get_queryset(self) -> QuerySet[Item]:
            return Item.objects.filter(is_done=False, withcolumns__count=0)

    add(10, 3)
    add(100, 1)
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, Joined(look), "--max-errors", 1, "--batch-size", 1)
    assert list(Item.objects.using(sqlite.alias).filter(is_done=False).values_list("pk", flat=True)) == [10]


def test_a_final_pass_does_rows_that_were_locked(postgresql: Engine) -> None:
    postgresql.fill(5)
    other = postgresql.connection.copy()
    other.set_autocommit(False)
    with contextlib.closing(other), other.cursor() as cursor:
        cursor.execute("SELECT 1 FROM batchapp_item WHERE id = %s FOR UPDATE", [pks(postgresql)[2]])
        last = pks(postgresql)[-1]
        call(postgresql, Skipping(lambda item: other.rollback() if item.pk == last else None), "--batch-size", 2)
    assert postgresql.problems(5) == []


def test_a_final_pass_skips_failed_rows(sqlite: Engine) -> None:
    sqlite.fill(5)
    looked: list[int] = []

    def look(item: Item) -> None:
        looked.append(item.pk)
        failing(pks(sqlite)[2])(item)

    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, MarkItems(look), "--batch-size", 5, "--max-errors", 1)
    assert looked.count(pks(sqlite)[4]) == 1


def test_work_that_leaves_its_rows_in_the_filter_fails_loudly(sqlite: Engine) -> None:
    class Endless(CountItems):
        is_todo = True

    sqlite.fill(2)
    with pytest.raises(CommandError, match="does not remove them"):
        call(sqlite, Endless())


def test_rows_added_by_the_work_do_not_make_it_endless(sqlite: Engine) -> None:
    sqlite.fill(5)
    call(sqlite, CountItems(lambda item: Item.objects.using(sqlite.alias).create()), "--batch-size", 1)
    assert Item.objects.using(sqlite.alias).count() == 10


def test_a_limit_counts_rows_of_the_final_pass_too(sqlite: Engine) -> None:
    sqlite.fill(4)
    keys = pks(sqlite)
    Item.objects.using(sqlite.alias).filter(pk__in=keys[:2]).delete()

    def commit_late(item: Item) -> None:
        if item.pk == keys[3]:
            Item.objects.using(sqlite.alias).bulk_create([Item(pk=key) for key in keys[:2]])

    assert call(sqlite, MarkItems(commit_late), "--limit", 3)[0] == "3 done; the next run continues from there\n"
    call(sqlite, MarkItems())
    assert sqlite.problems(4) == []


class Uncounted(CountItems):
    has_total = False


@pytest.mark.parametrize(
    ("command", "interval_seconds", "arguments", "count"),
    [
        (CountItems, 60.0, (), 0),
        (CountItems, 0.0, (), 1),
        (CountItems, 60.0, ("--max-errors", "1%"), 1),
        (Uncounted, 0.0, ("--max-errors", "1%"), 0),
    ],
)
def test_rows_are_counted_only_when_needed(
    sqlite: Engine,
    monkeypatch: pytest.MonkeyPatch,
    command: type[CountItems],
    interval_seconds: float,
    arguments: tuple[str, ...],
    count: int,
) -> None:
    monkeypatch.setattr(progress_outputs.CallbackOutput, "interval_seconds", interval_seconds)
    sqlite.fill(2)
    with CaptureQueriesContext(sqlite.connection) as captured:
        call(sqlite, command(), "--batch-size", 1, *arguments, progress=lambda *counts: None)
    assert len([query for query in captured.captured_queries if "COUNT(*)" in query["sql"]]) == count


def test_a_late_count_covers_the_whole_work(sqlite: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_outputs.CallbackOutput, "interval_seconds", 0.0)
    reported: list[tuple[int, int | None, int]] = []
    sqlite.fill(4)
    call(sqlite, CountItems(), "--batch-size", 1, "--limit", 2)
    call(sqlite, CountItems(), "--batch-size", 1, progress=lambda *counts: reported.append(counts))
    assert reported == [(2, None, 0), (3, 4, 0), (4, 4, 0), (4, 4, 0)]


class Uncountable(CountItems):
    """A table that cannot be counted, for its size say."""

    def make_source(self) -> Any:
        source: Any = super().make_source()

        def count(**limits: str) -> int:
            with self.connection.cursor() as cursor:
                cursor.execute("SELECT count(*) FROM no_table_of_this_name")
                return int(cursor.fetchone()[0])

        source.count = count
        return source


@pytest.mark.parametrize("transaction_per", ["batch", "command"])
def test_uncountable_work_is_done(engine: Engine, monkeypatch: pytest.MonkeyPatch, transaction_per: str) -> None:
    monkeypatch.setattr(progress_outputs.CallbackOutput, "interval_seconds", 0.0)
    monkeypatch.setattr(Uncountable, "transaction_per", transaction_per)
    reported: list[tuple[int, int | None, int]] = []
    engine.fill(4)
    with pytest.raises(CommandError, match="a share in --max-errors needs the number of rows"):
        call(engine, Uncountable(), "--max-errors", "1%")
    _, err = call(engine, Uncountable(), "--batch-size", 2, progress=lambda *counts: reported.append(counts))
    assert engine.problems(4) == []
    assert err.count("the rows cannot be counted") == 1
    assert reported[1:3] == [(2, None, 0), (4, None, 0)]


def test_a_final_pass_counts_a_failed_row_once(sqlite: Engine) -> None:
    sqlite.fill(6)
    first, bad = pks(sqlite)[0], pks(sqlite)[3]
    Item.objects.using(sqlite.alias).filter(pk=first).delete()

    def look(item: Item) -> None:
        failing(bad)(item)
        if item.pk == first + 5:
            Item.objects.using(sqlite.alias).create(pk=first)

    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, MarkItems(look), "--batch-size", 2, "--max-errors", 1)
    assert left(sqlite) is None
    call(sqlite, MarkItems(), "--retry-failed")
    assert sqlite.problems(6) == []


def test_a_final_pass_supports_more_failed_rows_than_a_statement_has_conditions(sqlite: Engine) -> None:
    sqlite.fill(31)
    keys = pks(sqlite)
    # By default SQLite allows a thousand, which takes as many transactions to exceed.
    for limit in (sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER, sqlite3.SQLITE_LIMIT_EXPR_DEPTH):
        sqlite.connection.connection.setlimit(limit, 30)
    with pytest.raises(CommandError, match="31 failed"):
        call(sqlite, MarkItems(failing(*keys)), "--batch-size", 15, "--max-errors", "100%")
    assert sqlite.connection.connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) == 30
    assert left(sqlite) is None


# -- --max-runtime -----------------------------------------------------------------------------------------------------


class Clocked(CountItems):
    """Takes a second for each item, by a clock of its own."""

    seconds = 0.0

    def _clock(self) -> float:
        return self.seconds

    def process_item(self, item: Item) -> None:
        self.seconds += 1
        super().process_item(item)

    def wait(self, seconds: float) -> bool:
        self.seconds += seconds
        return self.stopping


class ClockedMarks(Clocked, MarkItems):
    """Takes a second for each item, and removes it from its queryset."""


NEXT = "; the next run continues from there\n"


@pytest.mark.parametrize(
    ("tokens", "out"),
    [
        (("--max-runtime", "3s"), f"4 done{NEXT}"),
        (("--max-runtime", "4s"), f"4 done{NEXT}"),
        (("--max-runtime", "0.5s"), f"2 done{NEXT}"),
        (("--max-runtime", "10s"), "10 done\n"),
        (("--max-runtime", "2h"), "10 done\n"),
        (("--max-runtime", "3s", "--dry-run"), "4 would be done; more rows remain\n"),
        (("--max-runtime", "3s", "--limit", 3), f"3 done{NEXT}"),
        (("--max-runtime", "3s", "--pause", 60), f"2 done{NEXT}"),
        (("--max-runtime", "3s", "--shard", "1/2"), f"4 done{NEXT}"),
        (("--max-runtime", "3s", "--run-key", "monday"), f"4 done{NEXT}"),
    ],
    ids=lambda value: " ".join(map(str, value)) if isinstance(value, tuple) else "",
)
@pytest.mark.parametrize("command", [Clocked, ClockedMarks])
def test_a_run_ends_after_the_batch_in_which_its_time_ends(
    sqlite: Engine, command: type[Clocked], tokens: tuple[Any, ...], out: str
) -> None:
    sqlite.fill(10)
    assert call(sqlite, command(), *tokens, "--batch-size", 2)[0] == out


@pytest.mark.parametrize("options", [{}, {"run_key": "monday"}, {"call_key": "run 1, step 2"}], ids=str)
def test_runs_with_other_times_continue_each_other(sqlite: Engine, options: dict[str, str]) -> None:
    sqlite.fill(7)
    outs = [call(sqlite, Clocked(), "--batch-size", 2, "--max-runtime", time, **options)[0] for time in ("3s", "1s")]
    assert outs == [f"4 done{NEXT}", f"2 done (6 including earlier runs){NEXT}"]
    assert call(sqlite, Clocked(), "--batch-size", 2, **options)[0] == "1 done (7 including earlier runs)\n"
    assert sqlite.problems(7) == []


def test_another_call_of_a_runner_continues_after_the_time_has_ended(sqlite: Engine) -> None:
    sqlite.fill(5)
    for number, done in enumerate(("2 done", "2 done (4 including earlier runs)")):
        out = call(sqlite, Clocked(), "--batch-size", 2, "--max-runtime", "1s", call_key=f"run {number}, step 1")[0]
        assert out == f"{done}{NEXT}"
    assert call(sqlite, Clocked(), call_key="run 9, step 1")[0] == "1 done (5 including earlier runs)\n"


def test_a_throttle_does_not_wait_longer_than_the_time(sqlite: Engine) -> None:
    class Throttled(Clocked):
        def throttle(self) -> float | None:
            return 2.0

    sqlite.fill(5)
    command = Throttled()
    assert call(sqlite, command, "--batch-size", 1, "--max-runtime", "30s")[0] == f"1 done{NEXT}"
    assert command.seconds == 30


def test_the_time_of_one_call_does_not_end_the_next(sqlite: Engine) -> None:
    sqlite.fill(4)
    command = Clocked()
    call(sqlite, command, "--batch-size", 1, "--max-runtime", "1s")
    assert call(sqlite, command, "--batch-size", 1)[0] == "3 done (4 including earlier runs)\n"


def test_a_retry_of_failed_rows_ends_with_its_time(sqlite: Engine) -> None:
    sqlite.fill(5)
    with pytest.raises(CommandError, match="4 failed"):
        call(sqlite, Clocked(failing(*pks(sqlite)[:4])), "--max-errors", 4)
    out = call(sqlite, Clocked(), "--retry-failed", "--max-runtime", "2s")[0]
    assert out == "2 done; 2 not retried; --retry-failed continues with them\n"
    out = call(sqlite, Clocked(), "--retry-failed", "--max-runtime", "5s", "--pause", 60)[0]
    assert out == "1 done; 1 not retried; --retry-failed continues with them\n"
    assert call(sqlite, Clocked(), "--retry-failed", "--max-runtime", "1s")[0] == "1 done\n"
    assert sqlite.problems(5) == []
