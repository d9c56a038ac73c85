"""What a batch command does to its rows, and what it leaves in its checkpoint."""

from __future__ import annotations

import contextlib
import io
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError
from django.db import IntegrityError, OperationalError, connections, transaction
from django.db.models import Count, F, Model, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from django_runbook.batch import BatchCommand
from django_runbook.batch.core import batch_loop as loops
from django_runbook.batch.core import checkpoint as checkpoints
from django_runbook.batch.core import checkpoint_tables
from django_runbook.batch.core.batch_options import Shard
from django_runbook.batch.core.work import KeyRange
from django_runbook.batch.parts import progress_outputs
from django_runbook.models import Checkpoint, FailedRow
from tests.batch.commands import CountBatches, CountItems, MarkItems
from tests.batch.engines import Engine
from tests.batchapp.models import (
    Item,
    Ledger,
    WithColumns,
    WithDecimal,
    WithMoment,
    WithNumber,
    WithPair,
    WithParent,
    WithText,
    WithUUID,
)


class Unlocked(BatchCommand):
    def get_lock_name(self, **options: Any) -> str | None:
        return None


BOTH = pytest.mark.parametrize("command", [CountItems, CountBatches])


def call(engine: Engine, command: BaseCommand, *tokens: object, **options: Any) -> tuple[str, str]:
    """What a command says on its standard output and on its standard error."""
    out, err = io.StringIO(), io.StringIO()
    tokens = (*map(str, tokens), "--database", engine.alias, "--verbosity", "0")
    call_command(command, *tokens, stdout=out, stderr=err, **options)
    return out.getvalue(), err.getvalue()


def failing(*keys: int) -> Callable[[Item], None]:
    def look(item: Item) -> None:
        if item.pk in keys:
            raise ValueError(f"{item.pk} is bad")

    return look


def pks(engine: Engine) -> list[int]:
    return list(Item.objects.using(engine.alias).order_by("pk").values_list("pk", flat=True))


def left(engine: Engine) -> Checkpoint | None:
    return Checkpoint.objects.using(engine.alias).first()


@BOTH
@pytest.mark.parametrize("count", [0, 1, 2, 4, 5])
def test_each_row_is_done_once_and_the_checkpoint_cleared(
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

    call(sqlite, Looking(), "--batch-size", 3)
    assert counts == [3, 6, 7]


def test_rows_that_leave_the_filter_or_come_into_it_are_not_skipped(engine: Engine) -> None:
    engine.fill(50)
    last = pks(engine)[-1]

    def meanwhile(item: Item) -> None:
        if item.pk % 10 == 0:
            Item.objects.using(engine.alias).filter(pk=item.pk + 7).delete()
            Item.objects.using(engine.alias).create()

    call(engine, MarkItems(meanwhile), "--batch-size", 4)
    count = Item.objects.using(engine.alias).count()
    assert pks(engine)[-1] > last
    assert engine.problems(count) == []


def test_slices_of_a_filter_skip_rows_and_ours_do_not(sqlite: Engine) -> None:
    sqlite.fill(100)
    todo = Item.objects.using(sqlite.alias).filter(is_done=False).order_by("pk")
    for start in range(0, 100, 10):
        for item in todo[start : start + 10]:
            Item.objects.using(sqlite.alias).filter(pk=item.pk).update(is_done=True)
    assert todo.count() == 50
    Item.objects.using(sqlite.alias).update(is_done=False)
    with CaptureQueriesContext(sqlite.connection) as captured:
        call(sqlite, MarkItems(), "--batch-size", 10)
    assert sqlite.problems(100) == []
    offsets = {query["sql"].split("OFFSET ")[1] for query in captured.captured_queries if "OFFSET" in query["sql"]}
    assert offsets == {"9"}


def test_rows_that_a_query_groups_are_gone_through_once(engine: Engine) -> None:
    class CountGrouped(CountItems):
        def get_queryset(self) -> QuerySet[Item]:
            return Item.objects.annotate(same_count=Count("pk")).filter(same_count=1)

    engine.fill(7)
    call(engine, CountGrouped(), "--batch-size", 2)
    assert engine.problems(7) == []


MOMENT = datetime(2026, 1, 1, 12, 0, 0, 123456, tzinfo=UTC)
KEYS: list[tuple[type[Model], list[dict[str, Any]]]] = [
    (WithNumber, [{"id": number} for number in (-(2**63), -5, -1, 0, 1, 2**40, 2**63 - 1)]),
    (WithUUID, [{"id": uuid.UUID(int=number << 96 | 7)} for number in range(7)]),
    (WithText, [{"id": text} for text in ("B", "a", "ö", "z", "Z-1", "it's %s", "\N{SNOWMAN}")]),
    (WithMoment, [{"id": MOMENT + timedelta(microseconds=number)} for number in range(7)]),
    (WithDecimal, [{"id": Decimal(number) / 1000} for number in (-2500, -1, 0, 1, 2, 3, 100_000)]),
    (
        WithPair,
        [{"tenant": tenant, "number": number} for tenant in "ab" for number in (-1, 0, 5)]
        + [{"tenant": "c", "number": 1}],
    ),
]


@pytest.mark.parametrize(("model", "rows"), KEYS, ids=[model.__name__ for model, _ in KEYS])
@pytest.mark.parametrize("size", [1, 2, 7, 10])
def test_any_key_is_gone_through_once(engine: Engine, model: Any, rows: list[dict[str, Any]], size: int) -> None:
    model.objects.using(engine.alias).bulk_create([model(**row) for row in rows])

    class Count(Unlocked):
        def get_queryset(self) -> QuerySet[Any]:
            return model.objects.all()  # type: ignore[no-any-return]  # a parameter

        def process_item(self, row: Any) -> None:
            if row.count == 3:
                raise ValueError("bad")
            row.count += 1
            row.save(update_fields=["count"])

    assert call(engine, Count(), "--batch-size", size)[0] == "7 done\n"
    assert list(model.objects.using(engine.alias).values_list("count", flat=True)) == [1] * 7
    call(engine, Count(), "--batch-size", size, "--limit", 5)
    call(engine, Count(), "--batch-size", size)
    assert list(model.objects.using(engine.alias).values_list("count", flat=True)) == [2] * 7
    bad = model.objects.using(engine.alias).order_by("pk")[4]
    model.objects.using(engine.alias).filter(pk=bad.pk).update(count=3)
    with pytest.raises(CommandError, match="1 failed"):
        call(engine, Count(), "--batch-size", size, "--max-errors", 1)
    model.objects.using(engine.alias).filter(pk=bad.pk).update(count=2)
    assert call(engine, Count(), "--retry-failed")[0] == "1 done\n"
    assert list(model.objects.using(engine.alias).values_list("count", flat=True)) == [3] * 7


def copy(row: Model) -> None:
    row.pk = None if isinstance(row.pk, int) else f"copy of {row.pk}"
    row._state.adding = True
    row.count = 1  # type: ignore[attr-defined]  # a Keyed
    row.save()


@pytest.mark.parametrize(
    ("model", "make"),
    [
        pytest.param(Item, lambda number: Item(), id="integer"),
        pytest.param(WithText, lambda number: WithText(id=f"k{number}"), id="text"),
    ],
)
@pytest.mark.parametrize("work", [copy, lambda row: row.delete()], ids=["copy", "delete"])
def test_work_that_changes_the_key_of_its_item_does_each_row_once(
    sqlite: Engine, model: Any, make: Callable[[int], Model], work: Callable[[Model], None]
) -> None:
    rows = model.objects.using(sqlite.alias)
    rows.bulk_create([make(number) for number in range(7)])
    originals = list(rows.order_by("pk").values_list("pk", flat=True))
    done: list[Any] = []

    class Work(Unlocked):
        is_mended = False

        def get_queryset(self) -> QuerySet[Any]:
            return model.objects.filter(count=0)  # type: ignore[no-any-return]  # a parameter

        def process_item(self, row: Any) -> None:
            pk = row.pk
            work(row)
            if pk == originals[4] and not self.is_mended:
                raise ValueError("bad")
            done.append(pk)
            if pk == originals[2]:
                self.request_stop("enough")

    call(sqlite, Work(), "--batch-size", 7)
    with pytest.raises(CommandError, match=f"{originals[4]}: ValueError: bad"):
        call(sqlite, Work(), "--batch-size", 7)
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, Work(), "--batch-size", 7, "--max-errors", 1)
    Work.is_mended = True
    assert call(sqlite, Work(), "--retry-failed")[0] == "1 done\n"
    assert sorted(set(done)) == originals
    assert rows.filter(count=1).count() == (7 if work is copy else 0)


def test_a_key_that_links_to_a_parent_is_gone_through_once(sqlite: Engine) -> None:
    for number in range(5):
        WithParent.objects.using(sqlite.alias).create(id=number)

    class Count(Unlocked):
        def get_queryset(self) -> QuerySet[WithParent]:
            return WithParent.objects.all()

        def process_batch(self, rows: QuerySet[WithParent]) -> int:
            return rows.update(count=F("count") + 1)

    assert call(sqlite, Count(), "--batch-size", 2)[0] == "5 done\n"
    assert set(WithParent.objects.using(sqlite.alias).values_list("count", flat=True)) == {1}


class ByColumns(Unlocked):
    key_fields = ("seen_at",)

    def get_queryset(self) -> QuerySet[WithColumns]:
        return WithColumns.objects.all()

    def process_batch(self, rows: QuerySet[WithColumns]) -> int:
        return rows.update(count=F("count") + 1)


def test_rows_that_a_column_does_not_tell_apart_are_told_apart_by_the_primary_key(engine: Engine) -> None:
    WithColumns.objects.using(engine.alias).bulk_create([WithColumns(seen_at=MOMENT) for _ in range(7)])
    assert call(engine, ByColumns(), "--batch-size", 2)[0] == "7 done\n"
    assert set(WithColumns.objects.using(engine.alias).values_list("count", flat=True)) == {1}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        pytest.param(("rank",), "rank is nullable", id="nullable"),
        pytest.param(("rnak",), 'no field "rnak"', id="unknown"),
        pytest.param(("parent",), "parent is nullable", id="nullable-link"),
    ],
)
def test_a_key_that_would_leave_rows_out_is_refused_at_the_start(
    sqlite: Engine, fields: tuple[str, ...], words: str
) -> None:
    class Bad(ByColumns):
        key_fields = fields  # type: ignore[assignment]  # of any length

    with pytest.raises(CommandError, match=words):
        call(sqlite, Bad())


NUMBER = Window(RowNumber(), partition_by="value", order_by="pk")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        pytest.param(lambda: Item.objects.all()[:5], "must not slice", id="slice"),
        pytest.param(lambda: Item.objects.all().union(Item.objects.all()), "must not be a union", id="union"),
        pytest.param(lambda: Item.objects.values("pk"), "model instances", id="values"),
        pytest.param(lambda: Item.objects.alias(next=NUMBER + 1).filter(~Q(next=2)), "window function", id="window"),
        pytest.param(lambda: Item.objects.annotate(number=NUMBER), "window function", id="window-to-read"),
        pytest.param(lambda: Item.objects.distinct("value"), "distinct", id="distinct"),
        pytest.param(lambda: Item.objects.select_for_update(skip_locked=True), "is_todo = True", id="skip-locked"),
    ],
)
def test_a_queryset_that_has_no_ranges_is_refused(sqlite: Engine, rows: Callable[[], Any], words: str) -> None:
    class Bad(CountItems):
        def get_queryset(self) -> QuerySet[Item]:
            return rows()  # type: ignore[no-any-return]  # a parameter

    with pytest.raises(CommandError, match=words):
        call(sqlite, Bad())


def test_a_queryset_may_ask_another_one_that_has_no_ranges(engine: Engine) -> None:
    class FirstOfEach(CountItems):
        def get_queryset(self) -> QuerySet[Item]:
            return Item.objects.filter(pk__in=Item.objects.alias(number=NUMBER).filter(number=1))

    for value in "abc":
        engine.fill(3, value=value)
    call(engine, FirstOfEach(), "--batch-size", 1)
    assert list(Item.objects.using(engine.alias).order_by("pk").values_list("count", flat=True)) == [1, 0, 0] * 3


def test_a_command_without_work_is_told(sqlite: Engine) -> None:
    class Idle(Unlocked):
        def get_queryset(self) -> QuerySet[Item]:
            return Item.objects.all()

    with pytest.raises(CommandError, match="neither"):
        call(sqlite, Idle())


def test_rows_of_a_join_are_done_once_each(sqlite: Engine) -> None:
    sqlite.fill(3)
    for pk in pks(sqlite):
        WithColumns.objects.using(sqlite.alias).bulk_create([WithColumns(parent_id=pk) for _ in range(2)])

    class Joined(CountItems):
        def get_queryset(self) -> QuerySet[Item]:
            return Item.objects.filter(withcolumns__count=0)

    # A limit counts rows, and not how often the join gives them.
    assert call(sqlite, Joined(), "--batch-size", 10, "--limit", 3)[0].startswith("3 done")
    assert sqlite.problems(3) == []


@pytest.mark.parametrize("method", ["only", "defer"])
def test_a_key_that_the_queryset_leaves_out_is_read_with_the_rows(sqlite: Engine, method: str) -> None:
    WithColumns.objects.using(sqlite.alias).bulk_create([WithColumns() for _ in range(50)])

    class ByMoment(Unlocked):
        key_fields = ("seen_at",)

        def get_queryset(self) -> QuerySet[WithColumns]:
            rows = WithColumns.objects.all()
            return rows.only("count") if method == "only" else rows.defer("seen_at", "rank")

        def process_item(self, item: WithColumns) -> None:
            assert "rank" in item.get_deferred_fields()

    with CaptureQueriesContext(sqlite.connection) as captured:
        assert call(sqlite, ByMoment(), "--batch-size", 50)[0] == "50 done\n"
    assert len(captured) < 50


def test_rows_can_be_locked_as_they_are_read(postgresql: Engine) -> None:
    postgresql.fill(5)

    class Locking(CountItems):
        def get_queryset(self) -> QuerySet[Item]:
            return Item.objects.select_for_update()

    call(postgresql, Locking(), "--batch-size", 2)
    assert postgresql.problems(5) == []


def test_a_limit_ends_a_run_and_the_next_one_goes_on(sqlite: Engine) -> None:
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


def test_a_dry_run_with_a_limit_counts_for_itself_and_names_no_next_run(sqlite: Engine) -> None:
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
    told: list[tuple[int, int | None, int]] = []
    call(sqlite, CountItems(), "--batch-size", 2, *tokens, progress=lambda *numbers: told.append(numbers))
    # Before it is counted, the first one has no total.
    assert [(done, total or told[-1][1], failed) for done, total, failed in dict.fromkeys(told)] == counts


def test_the_lines_of_progress_name_the_command(sqlite: Engine) -> None:
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


def test_a_restart_begins_anew(sqlite: Engine) -> None:
    sqlite.fill(4)
    call(sqlite, CountItems(), "--limit", 2)
    assert call(sqlite, CountItems(), "--restart")[0] == "4 done\n"
    assert list(Item.objects.using(sqlite.alias).order_by("pk").values_list("count", flat=True)) == [2, 2, 1, 1]


def test_an_option_that_changes_the_rows_does_not_go_on_where_another_run_was(sqlite: Engine) -> None:
    sqlite.fill(4)
    call(sqlite, MarkItems(), "--limit", 2)
    assert call(sqlite, MarkItems(), "--value", "1")[0] == "2 done\n"
    assert Checkpoint.objects.using(sqlite.alias).count() == 1
    assert call(sqlite, MarkItems(), "--batch-size", 1)[0] == "0 done (2 including earlier runs)\n"
    assert sqlite.problems(4) == []


class Chosen(CountItems):
    """Has an option of any value."""

    def cursor_options(self) -> dict[str, Any]:
        return {"chosen": self.options["chosen"]}

    def add_arguments(self, parser: Any) -> None:
        parser.add_argument("--chosen")


def test_an_option_that_is_a_set_is_the_same_in_any_order(sqlite: Engine) -> None:
    one, same = {8, 0}, {0, 8}
    assert list(one) != list(same)
    sqlite.fill(4)
    call(sqlite, Chosen(), "--limit", 2, chosen=[one, frozenset(("a", 1))])
    assert call(sqlite, Chosen(), chosen=[same, frozenset((1, "a"))])[0] == "2 done (4 including earlier runs)\n"


def test_an_option_that_is_another_one_in_each_process_is_refused(sqlite: Engine) -> None:
    with pytest.raises(CommandError, match=r'the option "chosen" has the value <object .*override cursor_options\(\)'):
        call(sqlite, Chosen(), chosen=[object()])


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


def test_a_dry_run_looks_at_what_a_run_would_do_next(sqlite: Engine) -> None:
    sqlite.fill(5)
    call(sqlite, CountItems(), "--limit", 3)
    looked: list[Item] = []
    call(sqlite, CountItems(looked.append), "--dry-run")
    assert len(looked) == 2
    assert call(sqlite, CountItems())[0] == "2 done (5 including earlier runs)\n"


@BOTH
def test_a_bad_row_stops_the_run_which_names_it(sqlite: Engine, command: type[CountItems]) -> None:
    sqlite.fill(10)
    bad = pks(sqlite)[6]
    with pytest.raises(CommandError, match=rf"batchapp.Item {bad}: ValueError: {bad} is bad") as caught:
        call(sqlite, command(failing(bad)), "--batch-size", 4)
    assert caught.value.returncode == 1
    assert sqlite.are_counts_right()
    call(sqlite, command(), "--batch-size", 4)
    assert sqlite.problems(10) == []


@BOTH
def test_one_bad_row_in_ten_thousand_is_recorded_and_done_later(sqlite: Engine, command: type[CountItems]) -> None:
    sqlite.fill(10_000)
    bad = pks(sqlite)[4711]
    with pytest.raises(CommandError, match="1 failed; --retry-failed") as caught:
        call(sqlite, command(failing(bad)), "--max-errors", 5, "--batch-size", 1000)
    assert caught.value.returncode == 1
    assert list(Item.objects.using(sqlite.alias).exclude(count=1).values_list("pk", flat=True)) == [bad]
    row = FailedRow.objects.using(sqlite.alias).get()
    assert (row.key, row.name, row.error) == (f'["{bad}"]', f"batchapp.Item {bad}", f"ValueError: {bad} is bad")
    assert "in look" in row.traceback
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, command(failing(bad)), "--retry-failed")
    assert FailedRow.objects.using(sqlite.alias).get().attempt_count == 2
    looked: list[Item] = []
    assert call(sqlite, command(looked.append), "--retry-failed")[0] == "1 done\n"
    assert [item.pk for item in looked] == [bad]
    assert not FailedRow.objects.using(sqlite.alias).exists()
    assert sqlite.problems(10_000) == []


@BOTH
def test_a_row_that_failed_is_recorded_although_the_database_is_away_for_a_moment(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch, command: type[CountItems]
) -> None:
    record, has_failed = checkpoints.CheckpointStore.record, checkpoints.CheckpointStore.has_failed
    failures = {record: iter([True]), has_failed: iter([True])}

    def first_away(method: Callable[..., Any]) -> Callable[..., Any]:
        def call_it(*args: Any) -> Any:
            # Batches without failures record nothing.
            if args[-1] and next(failures[method], False):
                raise OperationalError("the connection is lost")
            return method(*args)

        return call_it

    monkeypatch.setattr(checkpoints.CheckpointStore, "record", first_away(record))
    monkeypatch.setattr(checkpoints.CheckpointStore, "has_failed", first_away(has_failed))
    monkeypatch.setattr(command, "wait", lambda self, seconds: False)
    sqlite.fill(9)
    bad = pks(sqlite)[4]
    failing_command = command(failing(bad))
    told: list[str] = []
    monkeypatch.setattr(failing_command, "write_message", told.append)
    with pytest.raises(CommandError, match="1 failed; --retry-failed"):
        call(sqlite, failing_command, "--max-errors", 5, "--batch-size", 4)
    assert told.count(f"batchapp.Item {bad}: ValueError: {bad} is bad; recorded as failed") == 1
    assert [next(rest, None) for rest in failures.values()] == [None, None]
    assert FailedRow.objects.using(sqlite.alias).count() == 1
    assert list(Item.objects.using(sqlite.alias).exclude(count=1).values_list("pk", flat=True)) == [bad]


@BOTH
def test_a_row_that_failed_is_told_once(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch, command: type[CountItems]
) -> None:
    sqlite.fill(9)
    failing_command = command(failing(pks(sqlite)[4]))
    told: list[str] = []
    monkeypatch.setattr(failing_command, "write_message", told.append)
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, failing_command, "--max-errors", 1)
    assert len(told) == 1


@BOTH
def test_a_failed_row_that_is_gone_is_not_done(sqlite: Engine, command: type[CountItems]) -> None:
    sqlite.fill(4)
    bad = pks(sqlite)[1]
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, command(failing(bad)), "--max-errors", 1)
    Item.objects.using(sqlite.alias).filter(pk=bad).delete()
    out, err = call(sqlite, command(), "--retry-failed")
    assert (out, err) == ("0 done\n", f"batchapp.Item {bad} no longer exists, or no longer needs to be done\n")


@pytest.mark.parametrize(("limit", "is_enough"), [("2", False), ("3", True), ("29%", False), ("30%", True)])
@BOTH
def test_more_bad_rows_than_allowed_stop_the_run(
    sqlite: Engine,
    command: type[CountItems],
    limit: str,
    is_enough: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    sqlite.fill(10)
    keys = pks(sqlite)
    with pytest.raises(CommandError, match="3 failed" if is_enough else f"Item {keys[9]}: ValueError"):
        call(sqlite, command(failing(keys[0], keys[1], keys[9])), "--max-errors", limit, "--batch-size", 4)
    assert FailedRow.objects.using(sqlite.alias).count() == (3 if is_enough else 2)


def test_bisecting_takes_few_transactions(sqlite: Engine) -> None:
    sqlite.fill(1000)
    with CaptureQueriesContext(sqlite.connection) as captured, pytest.raises(CommandError):
        call(sqlite, CountBatches(failing(pks(sqlite)[500])), "--max-errors", 1, "--batch-size", 1000)
    transactions = [query for query in captured.captured_queries if query["sql"] == "BEGIN"]
    assert len(transactions) < 30


@pytest.mark.parametrize(
    ("text", "stored"),
    [("a NUL\0.", "a NUL."), ("a half \ud800", "a half \\ud800"), (1000 * "hunter2", 1000 * "***")],
    ids=["nul", "surrogate", "secret"],
)
def test_of_any_error_what_may_be_stored_is_recorded(engine: Engine, text: str, stored: str) -> None:
    def refuse(item: Item) -> None:
        if item.pk == bad:
            raise ValueError(f"no {text}")

    def mask(text: str) -> str:
        return text.replace("hunter2", "***")

    engine.fill(3)
    bad = pks(engine)[1]
    for tokens in (("--max-errors", 1), ("--retry-failed",)):
        with pytest.raises(CommandError, match="1 failed"):
            call(engine, CountItems(refuse), *tokens, mask_secrets=mask)
        row = FailedRow.objects.using(engine.alias).get()
        assert row.error == f"ValueError: no {stored}"
        assert row.traceback.endswith(f"ValueError: no {stored}\n")
    assert row.attempt_count == 2


def test_a_record_that_is_gone_when_its_row_fails_again_is_not_missed(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite.fill(3)
    bad = failing(pks(sqlite)[0])
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, CountItems(bad), "--max-errors", 1)
    raced = CountItems(bad)
    monkeypatch.setattr(raced, "write_message", lambda text: FailedRow.objects.using(sqlite.alias).all().delete())
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, raced, "--retry-failed")
    assert not FailedRow.objects.using(sqlite.alias).exists()


def test_a_row_that_was_retried_meanwhile_has_not_failed(sqlite: Engine) -> None:
    sqlite.fill(6)
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, CountItems(failing(pks(sqlite)[0])), "--max-errors", 1, "--limit", 3)
    call(sqlite, CountItems(), "--retry-failed")
    assert call(sqlite, CountItems(), "--max-errors", 1)[0] == "3 done (5 including earlier runs)\n"
    assert sqlite.problems(6) == []


def test_a_run_from_the_start_forgets_what_failed_in_the_last_one(sqlite: Engine) -> None:
    sqlite.fill(3)
    with pytest.raises(CommandError):
        call(sqlite, CountItems(failing(pks(sqlite)[0])), "--max-errors", 1)
    call(sqlite, CountItems())
    assert not FailedRow.objects.using(sqlite.alias).exists()


def test_a_failed_row_that_is_gone_is_told(sqlite: Engine) -> None:
    sqlite.fill(3)
    bad = pks(sqlite)[1]
    with pytest.raises(CommandError):
        call(sqlite, CountItems(failing(bad)), "--max-errors", 1)
    Item.objects.using(sqlite.alias).filter(pk=bad).delete()
    assert call(sqlite, CountItems(), "--retry-failed")[0] == "0 done\n"
    assert not FailedRow.objects.using(sqlite.alias).exists()


def test_a_retry_that_ends_early_says_how_many_are_left(sqlite: Engine) -> None:
    sqlite.fill(5)
    bad = pks(sqlite)[:3]
    with pytest.raises(CommandError, match="3 failed"):
        call(sqlite, CountItems(failing(*bad)), "--max-errors", 3)
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, CountItems(failing(*bad)), "--retry-failed", "--limit", 1)
    out, _ = call(sqlite, CountItems(), "--retry-failed", "--limit", 1)
    assert out == "1 done; 2 not retried; --retry-failed continues with them\n"
    stopped = CountItems()
    stopped.look = lambda item: stopped.request_stop("enough")
    _, err = call(sqlite, stopped, "--retry-failed")
    assert err == "stopped (enough); 1 done; 1 not retried; --retry-failed continues with them\n"
    assert call(sqlite, CountItems(), "--retry-failed")[0] == "1 done\n"
    assert sqlite.problems(5) == []


def test_a_last_look_does_what_was_committed_behind_the_cursor(sqlite: Engine) -> None:
    sqlite.fill(10)
    first = pks(sqlite)[0]
    Item.objects.using(sqlite.alias).filter(pk=first).delete()

    def commit_late(item: Item) -> None:
        if item.pk == first + 8:
            Item.objects.using(sqlite.alias).create(pk=first)

    assert call(sqlite, MarkItems(commit_late), "--batch-size", 3)[0] == "10 done\n"
    assert sqlite.problems(10) == []


def test_a_last_look_of_a_join_does_not_take_one_failed_row_for_all_that_is_left(sqlite: Engine) -> None:
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


class Skipping(MarkItems):
    def get_queryset(self) -> QuerySet[Item]:
        return super().get_queryset().select_for_update(skip_locked=True)


def test_a_failed_row_is_waited_for_by_a_command_that_skips_what_is_locked(postgresql: Engine) -> None:
    postgresql.fill(3)
    with pytest.raises(CommandError, match="1 failed"):
        call(postgresql, Skipping(failing(pks(postgresql)[1])), "--max-errors", 1)
    with CaptureQueriesContext(postgresql.connection) as captured:
        call(postgresql, Skipping(), "--retry-failed")
    locking = [query["sql"] for query in captured.captured_queries if "FOR UPDATE" in query["sql"]]
    assert locking
    assert not [sql for sql in locking if "SKIP LOCKED" in sql]


def test_a_last_look_does_what_was_locked_by_somebody_else(postgresql: Engine) -> None:
    postgresql.fill(5)
    other = postgresql.connection.copy()
    other.set_autocommit(False)
    with contextlib.closing(other), other.cursor() as cursor:
        cursor.execute("SELECT 1 FROM batchapp_item WHERE id = %s FOR UPDATE", [pks(postgresql)[2]])
        last = pks(postgresql)[-1]
        call(postgresql, Skipping(lambda item: other.rollback() if item.pk == last else None), "--batch-size", 2)
    assert postgresql.problems(5) == []


def test_a_last_look_leaves_failed_rows_alone(sqlite: Engine) -> None:
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


def test_rows_that_the_work_itself_adds_do_not_keep_it_going_for_ever(sqlite: Engine) -> None:
    sqlite.fill(5)
    call(sqlite, CountItems(lambda item: Item.objects.using(sqlite.alias).create()), "--batch-size", 1)
    assert Item.objects.using(sqlite.alias).count() == 10


def test_the_call_of_a_runner_that_has_finished_is_not_done_again(sqlite: Engine) -> None:
    sqlite.fill(3)
    assert call(sqlite, CountItems(), call_key="run 1, step 2")[0] == "3 done\n"
    assert call(sqlite, CountItems(), call_key="run 1, step 2")[0] == "0 done\n"
    assert sqlite.problems(3) == []
    assert call(sqlite, CountItems(), call_key="run 2, step 2")[0] == "3 done\n"


@pytest.mark.parametrize(
    ("by_hand", "count"),
    [([()], 1), ([("--restart",)], 2), ([(), ()], 2), ([("--limit", 2), ()], 1), ([(), ("--limit", 2), ()], 2)],
    ids=["finished", "begun anew", "done again", "in two runs", "done again in two runs"],
)
@pytest.mark.parametrize("tokens", [(), ("--shard", "1/1")])
def test_the_call_of_a_runner_that_somebody_finishes_by_hand_is_not_done_again(
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


def test_shards_that_somebody_finishes_by_hand_are_not_done_again(sqlite: Engine) -> None:
    sqlite.fill(10)
    call(sqlite, CountItems(), "--shard", "1/2", "--limit", 2, call_key="run 1, shards[0]")
    for shard in ("2/2", "1/2"):
        call(sqlite, CountItems(), "--shard", shard)
    assert call(sqlite, CountItems(), "--shard", "1/2", call_key="run 1, shards[0]")[0] == "0 done\n"
    assert sqlite.problems(10) == []


def test_a_transaction_of_somebody_else_is_refused(sqlite: Engine) -> None:
    with transaction.atomic(using=sqlite.alias), pytest.raises(CommandError, match="a transaction is open on"):
        call(sqlite, CountItems())


def test_a_transaction_that_holds_the_checkpoints_elsewhere_is_refused(without_table: Engine) -> None:
    with transaction.atomic(), pytest.raises(CommandError, match='a transaction is open on the database "default"'):
        call(without_table, CountItems())


@pytest.mark.django_db
def test_a_testcase_of_django_is_no_transaction_of_somebody_else() -> None:
    Item.objects.create()
    call_command(CountItems(), stdout=io.StringIO())
    assert Item.objects.get().count == 1


class Whole(CountItems):
    transaction_per = "command"


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
def test_what_becomes_of_a_failed_row_is_told(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch, command: type[CountItems], tokens: tuple[str, ...], words: str
) -> None:
    sqlite.fill(3)
    bad = pks(sqlite)[1]
    failing_command = command(failing(bad))
    told: list[str] = []
    monkeypatch.setattr(failing_command, "write_message", told.append)
    with pytest.raises(CommandError, match=r"1 failed|1 would fail"):
        call(sqlite, failing_command, "--max-errors", 1, *tokens)
    assert told == [f"batchapp.Item {bad}: ValueError: {bad} is bad; {words}"]


def test_a_stop_rolls_back_a_command_that_is_one_transaction(sqlite: Engine) -> None:
    sqlite.fill(5)
    command = Whole()
    command.look = lambda item: command.request_stop("enough")
    call(sqlite, command, "--batch-size", 2)
    assert set(Item.objects.using(sqlite.alias).values_list("count", flat=True)) == {0}
    assert left(sqlite) is None


@BOTH
def test_a_stop_keeps_what_is_whole(engine: Engine, command: type[CountItems]) -> None:
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


def test_the_limit_of_a_takeover_does_not_outlive_it(postgresql: Engine) -> None:
    timeouts = []

    def look(item: Item) -> None:
        with postgresql.connection.cursor() as cursor:
            cursor.execute("SHOW lock_timeout")
            timeouts.append(cursor.fetchone())

    postgresql.fill(4)
    call(postgresql, Whole(look), "--limit", 2)
    call(postgresql, Whole(look), "--limit", 2)
    assert timeouts == 4 * [("0",)]


def test_a_pause_and_a_throttle_come_between_transactions(sqlite: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter([0.5, 60, None, 0, None])
    waits: list[tuple[float, bool]] = []

    class Throttled(CountItems):
        def throttle(self) -> float | None:
            return next(answers)

        def wait(self, seconds: float) -> bool:
            waits.append((seconds, sqlite.connection.in_atomic_block))
            return False

    sqlite.fill(6)
    call(sqlite, Throttled(), "--batch-size", 2, "--pause", 0.25)
    # An hour's wait is asked about again every few seconds.
    assert waits == [(0.25, False), (0.5, False), (5.0, False), (0.25, False), (0.25, False)]


def test_a_clock_that_goes_back_an_hour_changes_nothing(sqlite: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite.fill(20)
    fifth = pks(sqlite)[4]

    def look(item: Item) -> None:
        if item.pk == fifth:
            past = timezone.now() - timedelta(hours=1)
            monkeypatch.setattr(timezone, "now", lambda: past)
            monkeypatch.setattr("time.time", past.timestamp)

    assert call(sqlite, CountItems(look), "--target-time", 0.2)[0] == "20 done\n"
    call(sqlite, CountItems(), "--limit", 5, "--restart")
    call(sqlite, CountItems())
    assert set(Item.objects.using(sqlite.alias).values_list("count", flat=True)) == {2}


@pytest.fixture
def without_table(sqlite: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    """The rows' database lacks the tables; the default one has them."""
    has_table = checkpoint_tables.has_table
    monkeypatch.setattr(checkpoint_tables, "has_table", lambda alias: alias != sqlite.alias and has_table(alias))
    yield sqlite
    Checkpoint.objects.all().delete()
    FailedRow.objects.all().delete()


def test_checkpoints_in_another_database_are_at_least_once_and_said_to_be(without_table: Engine) -> None:
    without_table.fill(10)
    _, err = call(without_table, CountItems(), "--batch-size", 2, "--limit", 4)
    assert err.startswith("at least once: the database ")
    assert Checkpoint.objects.get().done_count == 4
    call(without_table, CountItems(), "--batch-size", 2)
    assert without_table.problems(10) == []
    assert not Checkpoint.objects.exists()


def test_a_transaction_there_is_none_of_a_dry_run_which_writes_nothing(without_table: Engine) -> None:
    without_table.fill(3)
    with transaction.atomic():
        assert call(without_table, CountItems(), "--dry-run")[0].startswith("3 would be done")


def test_a_row_whose_record_cannot_be_deleted_is_not_tried_again_at_once(
    without_table: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_table.fill(3)
    with pytest.raises(CommandError, match="1 failed"):
        call(without_table, CountItems(failing(pks(without_table)[1])), "--max-errors", 1)

    def break_off() -> None:
        raise OperationalError("the connection is lost")

    with monkeypatch.context() as patched:
        retried = CountItems(lambda item: patched.setattr(connections["default"], "_commit", break_off))
        with pytest.raises(CommandError, match="done, but its record could not be deleted"):
            call(without_table, retried, "--retry-failed")
    assert without_table.problems(3) == []


def test_failed_rows_are_recorded_in_another_database_as_well(without_table: Engine) -> None:
    without_table.fill(3)
    with pytest.raises(CommandError, match="1 failed"):
        call(without_table, CountItems(failing(pks(without_table)[1])), "--max-errors", 1)
    assert FailedRow.objects.count() == 1
    call(without_table, CountItems(), "--retry-failed")
    assert without_table.problems(3) == []


@pytest.mark.parametrize(
    ("error", "caught", "words"),
    [
        (KeyboardInterrupt(), KeyboardInterrupt, None),
        (OperationalError("the connection is lost"), CommandError, "done, but the checkpoint could not be written"),
    ],
    ids=["killed", "away"],
)
@BOTH
def test_a_row_whose_failure_is_not_recorded_elsewhere_is_not_gone_past(
    without_table: Engine,
    monkeypatch: pytest.MonkeyPatch,
    command: type[CountItems],
    error: BaseException,
    caught: type[BaseException],
    words: str | None,
) -> None:
    def fail(store: Any, failures: Any) -> None:
        if failures:
            raise error

    without_table.fill(5)
    bad = pks(without_table)[1]
    with monkeypatch.context() as patched:
        patched.setattr(checkpoints.CheckpointStore, "record", fail)
        patched.setattr(CountItems, "wait", lambda self, seconds: False)
        with pytest.raises(caught, match=words):
            call(without_table, command(failing(bad)), "--max-errors", 1, "--batch-size", 1)
    assert Checkpoint.objects.get().done_count == 1
    call(without_table, command(), "--batch-size", 1)
    assert without_table.problems(5) == []


def test_without_any_table_a_run_says_that_it_begins_again(sqlite: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint_tables, "has_table", lambda alias: False)
    sqlite.fill(5)
    _, err = call(sqlite, CountItems(), "--batch-size", 2)
    assert "at least once: no database has the table" in err
    assert sqlite.problems(5) == []
    with pytest.raises(CommandError, match="needs the table"):
        call(sqlite, CountItems(), "--retry-failed")
    with pytest.raises(CommandError, match="needs the table"):
        call(sqlite, CountItems(), "--shard", "1/2")
    with pytest.raises(CommandError, match=r"--max-errors records .*no database has the tables"):
        call(sqlite, CountItems(), "--max-errors", 1)
    assert call(sqlite, CountItems(), "--max-errors", 0)[0] == "5 done\n"


class Forbidding:
    """A router that keeps our tables out of every database but the default one."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return db == "default" if app_label == "django_runbook" else None


def test_a_router_decides_where_checkpoints_may_be(sqlite: Engine, settings: Any) -> None:
    settings.DATABASE_ROUTERS = [Forbidding()]
    assert checkpoint_tables.checkpoint_alias(sqlite.alias) == "default"
    settings.DATABASE_ROUTERS = []
    assert checkpoint_tables.checkpoint_alias(sqlite.alias) == sqlite.alias


def test_the_call_of_a_runner_begins_anew_once(sqlite: Engine) -> None:
    sqlite.fill(3)
    call(sqlite, CountItems(), "--limit", 1)
    call(sqlite, CountItems(), "--restart", "--limit", 2, "--batch-size", 2, call_key="run 1, step 2")
    assert call(sqlite, CountItems(), "--restart", call_key="run 1, step 2")[0] == "1 done (3 including earlier runs)\n"
    assert call(sqlite, CountItems(), "--restart", call_key="run 1, step 2")[0] == "0 done\n"
    assert [item.count for item in Item.objects.using(sqlite.alias).order_by("pk")] == [2, 1, 1]
    assert call(sqlite, CountItems(), "--restart", call_key="run 2, step 2")[0] == "3 done\n"


@pytest.mark.parametrize(
    ("error", "is_told"),
    [(OperationalError("database is locked"), False), (KeyboardInterrupt(), True)],
    ids=["busy", "killed"],
)
@pytest.mark.parametrize(("first", "second"), [((), ()), (("--limit", 4, "--batch-size", 2), ("--restart",))])
def test_a_call_that_fails_while_it_begins_anew_has_not_begun(
    sqlite: Engine,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    is_told: bool,  # noqa: FBT001 - a parameter of the test
    first: tuple[object, ...],
    second: tuple[object, ...],
) -> None:
    create, errors = checkpoints.CheckpointStore._create, iter([error])

    def fail_once(store: Any, **values: Any) -> Any:
        for one in errors:
            raise one
        return create(store, **values)

    sqlite.fill(6)
    call(sqlite, CountItems(), *first, call_key="run 1, step 2")
    monkeypatch.setattr(checkpoints.CheckpointStore, "_create", fail_once)
    monkeypatch.setattr(CountItems, "wait", lambda self, seconds: False)
    if is_told:
        with pytest.raises(KeyboardInterrupt):
            call(sqlite, CountItems(), *second, call_key="run 2, step 2")
    assert call(sqlite, CountItems(), *second, call_key="run 2, step 2")[0] == "6 done\n"


@BOTH
@pytest.mark.parametrize("arguments", [(), ("--restart",)])
def test_what_has_failed_has_failed_for_the_same_call_again(
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


def test_a_bad_row_that_came_into_a_piece_does_not_hide_the_one_behind_it(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit, calls = loops.BatchLoop._commit, iter(range(100))

    def disturbed(loop: Any, span: KeyRange, outcome: Any = None) -> None:
        match next(calls):
            case 0:
                raise OperationalError("database is locked")
            case 1:
                assert (span.high, span.count) == ('["20"]', 2)
                Item.objects.using(sqlite.alias).create(pk=15)
        commit(loop, span, outcome)

    Item.objects.using(sqlite.alias).bulk_create([Item(pk=pk) for pk in (10, 20, 30, 40)])
    monkeypatch.setattr(loops.BatchLoop, "_commit", disturbed)
    monkeypatch.setattr(CountItems, "wait", lambda self, seconds: False)
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, CountItems(failing(15)), "--max-errors", 9, "--batch-size", 4)
    assert dict(Item.objects.using(sqlite.alias).values_list("pk", "count")) == {10: 1, 15: 0, 20: 1, 30: 1, 40: 1}


def test_a_missing_table_is_seen(sqlite: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Checkpoint._meta, "db_table", "none_of_this_name")
    assert not checkpoint_tables.has_table(sqlite.alias)
    assert not connections[sqlite.alias].in_atomic_block


@pytest.mark.parametrize("count", [0, 1, 3, 10, 25])
@pytest.mark.parametrize("command", [CountItems, MarkItems])
def test_shards_together_do_every_row_once(sqlite: Engine, command: type[CountItems], count: int) -> None:
    sqlite.fill(count)
    if count > 3:
        Item.objects.using(sqlite.alias).filter(pk=pks(sqlite)[2]).delete()
        Ledger.objects.using(sqlite.alias).all().delete()
        count -= 1
    call(sqlite, command(), "--shard", "2/4", "--batch-size", 2, "--limit", 1)
    for number in (3, 1, 2, 4):
        call(sqlite, command(), "--shard", f"{number}/4", "--batch-size", 2)
    assert sqlite.problems(count) == []
    assert left(sqlite) is None


@pytest.mark.parametrize(("shard", "count"), [("1/2", 5), ("2/2", 8)])
def test_a_shard_that_begins_anew_beside_others_takes_in_what_was_added_behind_it(
    sqlite: Engine, shard: str, count: int
) -> None:
    sqlite.fill(10)
    call(sqlite, CountItems(), "--shard", shard, "--limit", 2, "--batch-size", 1)
    sqlite.fill(3)
    assert call(sqlite, CountItems(), "--shard", shard, "--restart")[0] == f"{count} done\n"


def test_a_dry_run_of_a_shard_looks_at_what_a_run_of_it_would_do(sqlite: Engine) -> None:
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


def test_rows_that_are_deleted_while_shards_are_cut_are_no_end_of_one(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = QuerySet.count
    monkeypatch.setattr(QuerySet, "count", lambda rows: count(rows) + 40)
    sqlite.fill(10)
    for number in (1, 2, 3, 4):
        call(sqlite, CountItems(), "--shard", f"{number}/4", "--batch-size", 2)
    monkeypatch.undo()
    assert sqlite.problems(10) == []


def test_a_shard_that_has_finished_waits_for_the_others(sqlite: Engine) -> None:
    sqlite.fill(10)
    call(sqlite, CountItems(), "--shard", "1/2")
    out, err = call(sqlite, CountItems(), "--shard", "1/2")
    assert (out, err) == ("0 done\n", "shard 1/2 has finished; the run ends with its other shards\n")
    with pytest.raises(CommandError, match="unfinished with other shards"):
        call(sqlite, CountItems())
    with pytest.raises(CommandError, match="unfinished with other shards"):
        call(sqlite, CountItems(), "--shard", "1/3")
    call(sqlite, CountItems(), "--shard", "2/2")
    assert sqlite.problems(10) == []
    assert call(sqlite, CountItems())[0] == "10 done\n"


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (["--batch-size", "0"], '"0" is not a positive integer'),
        (["--batch-size", "5", "--target-time", "1"], "not allowed with"),
        (["--target-time", "nan"], "is not a positive number of seconds"),
        (["--max-errors", "101%"], "is not a share"),
        (["--max-errors", "-1"], "neither a number of rows nor a share|expected one argument"),
        (["--max-errors", "x%"], "is not a share"),
        (["--shard", "0/2"], "is not a shard"),
        (["--shard", "3/2"], "is not a shard"),
        (["--restart", "--retry-failed"], "not allowed with"),
    ],
)
def test_an_option_that_cannot_be_is_refused(tokens: list[str], words: str) -> None:
    with pytest.raises(CommandError, match=words):
        call_command(CountItems(), *tokens)


@pytest.mark.parametrize(
    ("options", "out"),
    [
        ({"limit": "3", "batch_size": 1, "pause": "0.001"}, "3 done; the next run continues from there\n"),
        ({"max_errors": 5, "target_time": 2, "lock_wait": "10m"}, "4 done\n"),
        ({"max_errors": "20%", "lock_wait": 2.5}, "4 done\n"),
        ({"shard": "1/2", "batch_size": "2"}, "2 done\n"),
        ({"pause": 0, "shard": "", "max_errors": "", "lock_wait": "", "limit": None}, "4 done\n"),
    ],
)
def test_the_values_of_a_call_from_code_are_read_as_those_of_the_command_line(
    sqlite: Engine, options: dict[str, Any], out: str
) -> None:
    sqlite.fill(4)
    command = CountItems()
    command.lock_name = f"test {sqlite.alias}"
    assert call(sqlite, command, **options)[0] == out


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"limit": 0}, '--limit: "0" is not a positive integer'),
        ({"max_errors": "many"}, '--max-errors: "many" is neither'),
        ({"shard": "3/2"}, '--shard: "3/2" is not a shard'),
        ({"batch_size": True}, '--batch-size: "True" is not'),
        ({"target_time": "soon"}, '--target-time: "soon" is not'),
        ({"pause": -1}, '--pause: "-1" is not'),
        ({"lock_wait": "soon"}, '--lock-wait: "soon" is not a duration'),
    ],
)
def test_a_value_of_a_call_from_code_that_cannot_be_is_refused(
    sqlite: Engine, options: dict[str, Any], words: str
) -> None:
    command = CountItems()
    command.lock_name = f"test {sqlite.alias}"
    with pytest.raises(CommandError, match=words):
        call(sqlite, command, **options)


def test_an_option_that_is_a_function_means_the_same_in_each_process(sqlite: Engine) -> None:
    class Chosen(CountItems):
        def add_arguments(self, parser: Any) -> None:
            parser.set_defaults(method=self.get_queryset, kind=Item)

    sqlite.fill(4)
    for command in (Chosen(), Chosen()):
        call(sqlite, command, "--limit", 2)
    assert sqlite.problems(4) == []


def test_a_function_without_an_importable_name_is_refused(sqlite: Engine) -> None:
    class Chosen(CountItems):
        chosen: Any = staticmethod(str.upper)

        def add_arguments(self, parser: Any) -> None:
            parser.set_defaults(method=self.chosen)

    sqlite.fill(4)
    call(sqlite, Chosen(), "--limit", 2)
    Chosen.chosen = staticmethod(lambda: None)
    with pytest.raises(CommandError, match="differs in each process"):
        call(sqlite, Chosen())


def test_a_dry_run_reads_a_database_that_nobody_can_write_to(sqlite: Engine) -> None:
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


def test_shards_and_dry_runs_have_locks_of_their_own() -> None:
    command = BatchCommand()
    assert command.get_lock_name() == "command command"
    assert command.get_lock_name(shard=Shard(number=1, count=8)) == "command command, shard 1/8"
    assert command.get_lock_name(shard="1/8") == "command command, shard 1/8"
    assert command.get_lock_name(shard=Shard(number=1, count=1)) == "command command"
    assert command.get_lock_name(dry_run=True) is None


def test_a_limit_counts_what_a_last_look_does_too(sqlite: Engine) -> None:
    sqlite.fill(4)
    keys = pks(sqlite)
    Item.objects.using(sqlite.alias).filter(pk__in=keys[:2]).delete()

    def commit_late(item: Item) -> None:
        if item.pk == keys[3]:
            Item.objects.using(sqlite.alias).bulk_create([Item(pk=key) for key in keys[:2]])

    assert call(sqlite, MarkItems(commit_late), "--limit", 3)[0] == "3 done; the next run continues from there\n"
    call(sqlite, MarkItems())
    assert sqlite.problems(4) == []


def test_work_whose_checkpoint_stays_away_is_not_done_again_by_the_same_run(
    without_table: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing_always(store: Any, old: Any, new: Any) -> bool:
        raise OperationalError("the connection is lost")

    monkeypatch.setattr(checkpoints.CheckpointStore, "advance", failing_always)
    monkeypatch.setattr(CountItems, "wait", lambda self, seconds: False)
    without_table.fill(6)
    with pytest.raises(CommandError, match="done, but the checkpoint could not be written"):
        call(without_table, CountItems(), "--batch-size", 2)
    assert Ledger.objects.using(without_table.alias).count() == 2


def test_a_database_without_autocommit_is_refused(engine: Engine) -> None:
    engine.fill(3)
    engine.connection.ensure_connection()
    engine.connection.set_autocommit(False)
    with pytest.raises(CommandError, match="AUTOCOMMIT off"):
        call(engine, CountItems())
    engine.connection.close()
    assert not Ledger.objects.using(engine.alias).exists()


def test_a_command_that_is_one_transaction_keeps_no_checkpoint_elsewhere(without_table: Engine) -> None:
    without_table.fill(5)
    bad = pks(without_table)[3]
    with pytest.raises(CommandError, match=r"--max-errors records .* in the database .* migrate django_runbook there"):
        call(without_table, Whole(), "--max-errors", "1%")
    with pytest.raises(CommandError, match="1 would fail"):
        call(without_table, Whole(failing(bad)), "--max-errors", 1, "--dry-run")
    with pytest.raises(CommandError, match=f"Item {bad}"):
        call(without_table, Whole(failing(bad)), "--batch-size", 2)
    assert not Checkpoint.objects.exists()
    call(without_table, Whole(), "--batch-size", 2)
    assert without_table.problems(5) == []


def test_the_work_is_not_done_again_because_the_other_database_is_away(
    without_table: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    advance, failures = checkpoints.CheckpointStore.advance, iter([True, False, True, True])

    def failing_at_times(store: Any, old: Any, new: Any) -> bool:
        if next(failures, False):
            raise OperationalError("the connection is lost")
        return advance(store, old, new)

    monkeypatch.setattr(checkpoints.CheckpointStore, "advance", failing_at_times)
    monkeypatch.setattr(CountItems, "wait", lambda self, seconds: False)
    without_table.fill(6)
    call(without_table, CountItems(), "--batch-size", 2)
    assert without_table.problems(6) == []


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
def test_rows_are_counted_when_somebody_needs_to_know(
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


def test_what_is_counted_late_is_the_whole_work(sqlite: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress_outputs.CallbackOutput, "interval_seconds", 0.0)
    told: list[tuple[int, int | None, int]] = []
    sqlite.fill(4)
    call(sqlite, CountItems(), "--batch-size", 1, "--limit", 2)
    call(sqlite, CountItems(), "--batch-size", 1, progress=lambda *counts: told.append(counts))
    assert told == [(2, None, 0), (3, 4, 0), (4, 4, 0), (4, 4, 0)]


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
def test_work_that_cannot_be_counted_is_done(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, transaction_per: str
) -> None:
    monkeypatch.setattr(progress_outputs.CallbackOutput, "interval_seconds", 0.0)
    monkeypatch.setattr(Uncountable, "transaction_per", transaction_per)
    told: list[tuple[int, int | None, int]] = []
    engine.fill(4)
    with pytest.raises(CommandError, match="a share in --max-errors needs the number of rows"):
        call(engine, Uncountable(), "--max-errors", "1%")
    _, err = call(engine, Uncountable(), "--batch-size", 2, progress=lambda *counts: told.append(counts))
    assert engine.problems(4) == []
    assert err.count("the rows could not be counted") == 1
    assert told[1:3] == [(2, None, 0), (4, None, 0)]


def test_an_end_whose_answer_is_lost_is_an_end(sqlite: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
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

    assert call(sqlite, Watched())[0] == "2 done\n"
    assert is_lost[0]
    assert sqlite.problems(2) == []


def swallow(engine: Engine) -> None:
    with contextlib.suppress(IntegrityError):
        Item(pk=pks(engine)[0]).save(force_insert=True, using=engine.alias)


def close(engine: Engine) -> None:
    engine.connection.close()


@BOTH
@pytest.mark.parametrize("spoil", [swallow, close])
@pytest.mark.parametrize("at", [1, 4])
def test_a_batch_that_cannot_be_committed_is_not_taken_for_done(
    engine: Engine, command: type[CountItems], spoil: Callable[[Engine], None], at: int
) -> None:
    process = "process_item" if command is CountItems else "process_batch"

    def spoiled(self: CountItems, work: Any) -> None:
        getattr(command, process)(self, work)
        if command is CountBatches or work.pk == bad:
            spoil(engine)

    engine.fill(5)
    bad = pks(engine)[at]
    with pytest.raises(CommandError, match=f"up to {bad}: TransactionManagementError"):
        call(engine, type("Spoiled", (command,), {process: spoiled})(), "--batch-size", at + 1)
    assert not Ledger.objects.using(engine.alias).exists()
    call(engine, CountItems())
    assert engine.problems(5) == []


def test_a_failed_row_whose_transaction_cannot_be_committed_stays_recorded(sqlite: Engine) -> None:
    sqlite.fill(3)
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, CountItems(failing(pks(sqlite)[2])), "--max-errors", 1)
    with pytest.raises(CommandError, match="TransactionManagementError"):
        call(sqlite, CountItems(lambda item: swallow(sqlite)), "--retry-failed")
    assert FailedRow.objects.using(sqlite.alias).count() == 1
    call(sqlite, CountItems(), "--retry-failed")
    assert sqlite.problems(3) == []


def test_a_last_look_counts_a_failed_row_once(sqlite: Engine) -> None:
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


def test_a_last_look_bears_many_failed_rows(sqlite: Engine) -> None:
    sqlite.fill(1001)
    with pytest.raises(CommandError, match="1,001 failed"):
        call(sqlite, MarkItems(failing(*pks(sqlite))), "--batch-size", 500, "--max-errors", "100%")
    assert left(sqlite) is None


@BOTH
def test_a_row_that_comes_into_the_span_of_a_bad_one_is_done(sqlite: Engine, command: type[CountItems]) -> None:
    class Late(command):  # type: ignore[misc, valid-type]  # a variable
        def make_source(self) -> Any:
            source = super().make_source()
            find = source.next_range

            def next_range(**limits: Any) -> KeyRange | None:
                span: KeyRange | None = find(**limits)
                Item.objects.using(sqlite.alias).get_or_create(pk=5)
                return span

            source.next_range = next_range
            return source

    Item.objects.using(sqlite.alias).create(pk=10)
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, Late(failing(10)), "--batch-size", 1, "--max-errors", 1)
    call(sqlite, Late(), "--retry-failed")
    assert sqlite.problems(2) == []


def test_a_queryset_that_was_reversed_is_gone_through_once(sqlite: Engine) -> None:
    class Reversed(CountItems):
        def get_queryset(self) -> QuerySet[Item]:
            return Item.objects.order_by("pk").reverse()

    sqlite.fill(5)
    call(sqlite, Reversed(), "--batch-size", 2)
    assert sqlite.problems(5) == []


def test_failed_rows_in_another_database_stay_until_they_are_done(without_table: Engine) -> None:
    without_table.fill(3)
    bad = failing(pks(without_table)[1])
    with pytest.raises(CommandError, match="1 failed"):
        call(without_table, CountItems(bad), "--max-errors", 1)
    call(without_table, CountItems(), "--retry-failed", "--dry-run")
    with pytest.raises(CommandError, match="1 failed"):
        call(without_table, CountItems(bad), "--retry-failed")
    assert FailedRow.objects.get().attempt_count == 2
    call(without_table, CountItems(), "--retry-failed")
    assert without_table.problems(3) == []
    assert not FailedRow.objects.exists()
