"""Tests how querysets are split into key ranges and shards."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from random import Random
from typing import Any

import pytest
from django.core.management.base import CommandError
from django.db.models import Count, F, Model, Q, QuerySet, Window
from django.db.models.functions import RowNumber
from django.test.utils import CaptureQueriesContext

from django_runbook.batch.core.work import BatchOutcome
from django_runbook.batch.sources import queryset_source
from django_runbook.batch.sources.keyset import Key
from django_runbook.batch.sources.queryset_source import QuerySetSource
from tests.batch.commands import MOMENT, CountItems, MarkItems, Unlocked, call, left, pks
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
from tests.examples import examples


def test_rows_that_leave_or_enter_the_filter_are_not_skipped(engine: Engine) -> None:
    engine.fill(50)
    last = pks(engine)[-1]

    def concurrently(item: Item) -> None:
        if item.pk % 10 == 0:
            Item.objects.using(engine.alias).filter(pk=item.pk + 7).delete()
            Item.objects.using(engine.alias).create()

    call(engine, MarkItems(concurrently), "--batch-size", 4)
    count = Item.objects.using(engine.alias).count()
    assert pks(engine)[-1] > last
    assert engine.problems(count) == []


def test_offsets_skip_rows_and_key_ranges_do_not(sqlite: Engine) -> None:
    sqlite.fill(100)
    items = Item.objects.using(sqlite.alias)
    todo = items.filter(is_done=False).order_by("pk")
    for start in range(0, 100, 10):
        items.filter(pk__in=[item.pk for item in todo[start : start + 10]]).update(is_done=True)
    assert todo.count() == 50
    items.update(is_done=False)
    with CaptureQueriesContext(sqlite.connection) as captured:
        call(sqlite, MarkItems(), "--batch-size", 10)
    assert sqlite.problems(100) == []
    offsets = {query["sql"].split("OFFSET ")[1] for query in captured.captured_queries if "OFFSET" in query["sql"]}
    assert offsets == {"9"}


def test_grouped_rows_are_processed_once(engine: Engine) -> None:
    class CountGrouped(CountItems):
        def get_queryset(self) -> QuerySet[Item]:
            return Item.objects.annotate(same_count=Count("pk")).filter(same_count=1)

    engine.fill(7)
    call(engine, CountGrouped(), "--batch-size", 2)
    assert engine.problems(7) == []


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
@pytest.mark.parametrize("size", [2, 7, *(pytest.param(size, marks=pytest.mark.slow) for size in (1, 10))])
def test_any_key_is_processed_once(engine: Engine, model: Any, rows: list[dict[str, Any]], size: int) -> None:
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
        is_repaired = False

        def get_queryset(self) -> QuerySet[Any]:
            return model.objects.filter(count=0)  # type: ignore[no-any-return]  # a parameter

        def process_item(self, row: Any) -> None:
            pk = row.pk
            work(row)
            if pk == originals[4] and not self.is_repaired:
                raise ValueError("bad")
            done.append(pk)
            if pk == originals[2]:
                self.request_stop("enough")

    call(sqlite, Work(), "--batch-size", 7)
    with pytest.raises(CommandError, match=f"{originals[4]}: ValueError: bad"):
        call(sqlite, Work(), "--batch-size", 7)
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, Work(), "--batch-size", 7, "--max-errors", 1)
    Work.is_repaired = True
    assert call(sqlite, Work(), "--retry-failed")[0] == "1 done\n"
    assert sorted(set(done)) == originals
    assert rows.filter(count=1).count() == (7 if work is copy else 0)


def test_a_key_that_links_to_a_parent_is_processed_once(sqlite: Engine) -> None:
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


def test_rows_with_equal_columns_are_distinguished_by_the_primary_key(engine: Engine) -> None:
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
def test_a_key_that_would_skip_rows_is_refused_at_the_start(
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
def test_a_queryset_without_ranges_is_refused(sqlite: Engine, rows: Callable[[], Any], words: str) -> None:
    class Bad(CountItems):
        def get_queryset(self) -> QuerySet[Item]:
            return rows()  # type: ignore[no-any-return]  # a parameter

    with pytest.raises(CommandError, match=words):
        call(sqlite, Bad())


def test_a_queryset_may_filter_by_one_without_ranges(engine: Engine) -> None:
    class FirstOfEach(CountItems):
        def get_queryset(self) -> QuerySet[Item]:
            return Item.objects.filter(pk__in=Item.objects.alias(number=NUMBER).filter(number=1))

    for value in "abc":
        engine.fill(3, value=value)
    call(engine, FirstOfEach(), "--batch-size", 1)
    assert list(Item.objects.using(engine.alias).order_by("pk").values_list("count", flat=True)) == [1, 0, 0] * 3


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
def test_a_deferred_key_is_read_with_the_rows(sqlite: Engine, method: str) -> None:
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


def test_rows_can_be_locked_while_they_are_read(postgresql: Engine) -> None:
    postgresql.fill(5)

    class Locking(CountItems):
        def get_queryset(self) -> QuerySet[Item]:
            return Item.objects.select_for_update()

    call(postgresql, Locking(), "--batch-size", 2)
    assert postgresql.problems(5) == []


@pytest.mark.parametrize("count", [0, 1, 3, 10, pytest.param(25, marks=pytest.mark.slow)])
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


def cuts_by_offset(rows: QuerySet[Any], source: QuerySetSource, count: int) -> list[tuple[str, str]]:
    """Find the bounds by an OFFSET for each cut, which is slow and plainly right."""
    total = rows.count()
    numbers = dict.fromkeys(total * number // count for number in range(1, count))
    cuts = [source.key.encode(rows[number - 1]) for number in numbers if number]
    last = source.last()
    cuts += [cuts[-1] if cuts else last] * (count - 1 - len(cuts))
    return list(zip(["", *cuts], [*cuts, last], strict=True))


def fill_at_random(engine: Engine, model: type[Model], random: Random, count: int) -> None:
    keys: dict[type[Model], Callable[[], dict[str, Any]]] = {
        WithNumber: lambda: {"id": random.randrange(-(10**12), 10**12)},
        WithUUID: lambda: {"id": uuid.UUID(int=random.getrandbits(128))},
        WithText: lambda: {"id": "".join(random.choices("aB.é_1", k=12))},
        WithPair: lambda: {"tenant": random.choice("abc"), "number": random.randrange(10**9)},
    }
    rows = [model(count=random.randrange(3), **keys[model]()) for _ in range(count)]
    model._base_manager.using(engine.alias).bulk_create(rows, ignore_conflicts=engine.vendor != "sqlite")


@pytest.mark.parametrize("model", [WithNumber, WithUUID, WithText, WithPair])
@pytest.mark.parametrize("is_filtered", [False, True])
@pytest.mark.parametrize("max_keys", [0, 100_000], ids=["searched", "read at once"])
def test_the_bounds_of_shards_are_cut_in_one_pass(
    engine: Engine, model: type[Model], monkeypatch: pytest.MonkeyPatch, *, is_filtered: bool, max_keys: int
) -> None:
    monkeypatch.setattr(queryset_source, "_MAX_KEYS", max_keys)
    random = Random(f"{model.__name__} {is_filtered}")
    objects = model._base_manager.using(engine.alias)
    for _ in range(examples(12)):
        fill_at_random(engine, model, random, random.choice([0, 1, 2, 7, 30]))
        rows = objects.exclude(count=1) if is_filtered else objects.all()
        source = QuerySetSource(rows, key=Key(model), work=lambda rows, part: BatchOutcome(high="", done_count=0))
        ordered = rows.order_by(*source.key.names).values_list(*source.key.names)
        count = random.choice([1, 2, 3, 8, 40])
        with CaptureQueriesContext(engine.connection) as queries:
            bounds = source.shard_bounds(count)
        assert [(part.start, part.upper) for part in bounds] == cuts_by_offset(ordered, source, count)
        parts = [source.key.between(rows, part.start, part.upper).count() for part in bounds if part.upper]
        assert [part.total_count for part in bounds if part.upper] == parts or rows.count() < count
        assert sum(part.total_count or 0 for part in bounds) == rows.count()
        # The count, the last row, and a search for each cut, which skips the rows of one shard only.
        offsets = [int(found) for query in queries for found in re.findall(r"OFFSET (\d+)", query["sql"])]
        assert len(queries) <= (3 if max_keys else 2 + min(count - 1, rows.count()))
        assert sum(offset + 1 for offset in offsets) <= rows.count()


@pytest.mark.parametrize(
    "narrow",
    [
        lambda rows: rows.filter(withcolumns__rank__gt=0).distinct(),
        lambda rows: rows.annotate(ranks=Count("withcolumns")).filter(ranks__gt=1),
    ],
    ids=["distinct", "grouped"],
)
def test_the_bounds_of_joined_rows_count_each_row_once(engine: Engine, narrow: Any) -> None:
    engine.fill(12)
    for pk in pks(engine)[2:]:
        WithColumns.objects.using(engine.alias).bulk_create([WithColumns(parent_id=pk, rank=1) for _ in range(3)])
    rows = narrow(Item.objects.using(engine.alias))
    source = QuerySetSource(rows, key=Key(Item), work=lambda rows, part: BatchOutcome(high="", done_count=0))
    assert [part.total_count for part in source.shard_bounds(5)] == [2, 2, 2, 2, 2]
    assert [part.upper for part in source.shard_bounds(5)] == [f'["{pk}"]' for pk in pks(engine)[3::2]]


@pytest.mark.parametrize("max_keys", [0, 100_000], ids=["searched", "read at once"])
def test_rows_deleted_while_bounds_are_computed_do_not_end_a_shard(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch, max_keys: int
) -> None:
    monkeypatch.setattr(queryset_source, "_MAX_KEYS", max_keys)
    count = QuerySet.count
    monkeypatch.setattr(QuerySet, "count", lambda rows: count(rows) + 40)
    sqlite.fill(10)
    for number in (1, 2, 3, 4):
        call(sqlite, CountItems(), "--shard", f"{number}/4", "--batch-size", 2)
    monkeypatch.undo()
    assert sqlite.problems(10) == []


def test_a_reversed_queryset_is_processed_once(sqlite: Engine) -> None:
    class Reversed(CountItems):
        def get_queryset(self) -> QuerySet[Item]:
            return Item.objects.order_by("pk").reverse()

    sqlite.fill(5)
    call(sqlite, Reversed(), "--batch-size", 2)
    assert sqlite.problems(5) == []
