"""Tests failing rows, lost commits, full disks and pauses."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management.base import CommandError
from django.db import OperationalError, transaction
from django.utils import timezone

from django_runbook.batch import FileBatchCommand
from django_runbook.batch.core import batch_loop as loops
from django_runbook.batch.core import checkpoint as checkpoints
from django_runbook.batch.core import retrying
from django_runbook.batch.core.work import KeyRange
from django_runbook.batch.sources.file_source import FileSource
from django_runbook.models.checkpoints import Checkpoint
from tests.batch.commands import (
    BOTH,
    CountBatches,
    CountItems,
    MarkItems,
    call,
    errors_of,
    failing,
    pks,
    swallow,
)
from tests.batch.engines import Engine
from tests.batchapp.models import (
    Item,
    Ledger,
)


@BOTH
def test_a_bad_row_stops_the_run_and_is_named(sqlite: Engine, command: type[CountItems]) -> None:
    sqlite.fill(10)
    bad = pks(sqlite)[6]
    with pytest.raises(CommandError, match=rf"batchapp.Item {bad}: ValueError: {bad} is bad") as caught:
        call(sqlite, command(failing(bad)), "--batch-size", 4)
    assert caught.value.returncode == 1
    assert sqlite.are_counts_right()
    call(sqlite, command(), "--batch-size", 4)
    assert sqlite.problems(10) == []


def test_a_pause_and_a_throttle_come_between_transactions(sqlite: Engine) -> None:
    answers = iter([0.5, 60, None, 0])
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
    assert waits == [(0.25, False), (0.5, False), (5.0, False), (0.25, False)]
    assert next(answers, "no more") == "no more"


class Noting(CountItems):
    """Notes its waits, the questions whether to wait, and its items, in their order."""

    def __init__(self, look: Callable[[Item], object] = lambda item: None) -> None:
        super().__init__(self.note)
        self.look_next = look
        self.noted: list[Any] = []

    def note(self, item: Item) -> None:
        self.noted.append(item.pk)
        self.look_next(item)

    def throttle(self) -> float | None:
        self.noted.append("throttle")
        return None

    def wait(self, seconds: float) -> bool:
        self.noted.append(seconds)
        return self.stopping


@pytest.mark.parametrize(
    ("tokens", "count"),
    [((), 4), (("--limit", 4), 4), (("--limit", 2), 2), (("--batch-size", 9), 4)],
    ids=["the end", "a limit at the end", "a limit", "one batch"],
)
def test_nothing_is_waited_for_after_the_last_batch(sqlite: Engine, tokens: tuple[object, ...], count: int) -> None:
    Item.objects.using(sqlite.alias).bulk_create([Item(pk=pk) for pk in (1, 2, 3, 4)])
    command = Noting()
    call(sqlite, command, "--batch-size", 2, "--pause", 60, *tokens)
    is_split = count == 4 and "--batch-size" not in tokens
    assert command.noted == ([1, 2, 60.0, "throttle", 3, 4] if is_split else [1, 2, 3, 4][:count])


def test_a_final_pass_is_waited_for_like_a_batch(sqlite: Engine) -> None:
    class Marking(Noting, MarkItems):
        """Needs a final pass."""

    def look(item: Item) -> None:
        if item.pk == 20:
            Item.objects.using(sqlite.alias).create(pk=15)

    Item.objects.using(sqlite.alias).bulk_create([Item(pk=pk) for pk in (10, 20)])
    command = Marking(look)
    call(sqlite, command, "--pause", 60)
    assert command.noted == [10, 20, 60.0, "throttle", 15]


def test_rows_that_change_during_a_pause_are_found_again(sqlite: Engine) -> None:
    class Growing(Noting, CountBatches):
        def wait(self, seconds: float) -> bool:
            Item.objects.using(sqlite.alias).filter(pk=30).delete()
            Item.objects.using(sqlite.alias).bulk_create([Item(pk=pk) for pk in (31, 32, 33)])
            return super().wait(seconds)

    Item.objects.using(sqlite.alias).bulk_create([Item(pk=pk) for pk in (10, 20, 30, 40)])
    command = Growing()
    assert call(sqlite, command, "--batch-size", 2, "--pause", 60, "--limit", 4)[0].startswith("4 done; ")
    assert command.noted == [10, 20, 60.0, "throttle", 31, 32]


def test_a_stop_during_a_pause_ends_the_run(sqlite: Engine) -> None:
    class Stopped(Noting):
        def throttle(self) -> float | None:
            self.request_stop("enough")
            return super().throttle()

    Item.objects.using(sqlite.alias).bulk_create([Item(pk=pk) for pk in (1, 2, 3, 4)])
    command = Stopped()
    call(sqlite, command, "--batch-size", 2)
    assert command.noted == [1, 2, "throttle"]


def test_a_file_is_read_once_despite_pauses(sqlite: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse_seek(source: FileSource, cursor: str) -> None:
        raise AssertionError("the file is read again")

    class Lines(FileBatchCommand):
        count = 0

        def get_lock_name(self, **options: Any) -> str | None:
            return None

        def process_item(self, item: Any) -> None:
            self.count += 1

        def wait(self, seconds: float) -> bool:
            return False

    path = tmp_path / "lines.csv"
    path.write_text("number\n1\n2\n3\n")
    monkeypatch.setattr(FileSource, "_seek", refuse_seek)
    command = Lines()
    call(sqlite, command, path, "--batch-size", 1, "--pause", 60)
    assert command.count == 3


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


def test_a_new_bad_row_in_a_range_does_not_hide_the_next_one(sqlite: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_work_with_an_unavailable_checkpoint_is_not_repeated_by_the_same_run(
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


def test_the_work_is_not_repeated_when_the_other_database_is_unavailable(
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


def close(engine: Engine) -> None:
    engine.connection.close()


@BOTH
@pytest.mark.parametrize("spoil", [swallow, close])
@pytest.mark.parametrize("at", [1, 4])
def test_a_batch_that_cannot_be_committed_is_not_done(
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


@BOTH
def test_a_row_inserted_into_the_range_of_a_bad_one_is_done(sqlite: Engine, command: type[CountItems]) -> None:
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


@pytest.mark.parametrize("is_committed", [True, False])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_commit_with_a_lost_answer_is_judged_by_the_checkpoint(
    engine: Engine, number: int, *, is_committed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrying, "_FIRST_DELAY_SECONDS", 0.001)
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
    errors_of(engine, CountItems(), "--batch-size", 4)
    assert engine.problems(10) == []
    assert left_count < 0


def test_a_late_commit_is_detected_by_the_fence(engine: Engine) -> None:
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

    errors_of(engine, Overtaken(), "--batch-size", 2)
    assert engine.problems(10) == []


@pytest.mark.slow
def test_a_full_disk_ends_the_run_and_the_next_one_continues(sqlite: Engine) -> None:
    sqlite.fill(2000)
    with sqlite.connection.cursor() as cursor:
        cursor.execute("VACUUM")
        cursor.execute("PRAGMA page_count")
        cursor.execute(f"PRAGMA max_page_count = {cursor.fetchone()[0] + 3}")
    with pytest.raises(CommandError, match="database or disk is full") as caught:
        errors_of(sqlite, CountItems(), "--batch-size", 50, "--max-errors", 100)
    assert caught.value.returncode == 1
    assert sqlite.are_counts_right()
    assert 0 < Ledger.objects.using(sqlite.alias).count() < 2000
    sqlite.connection.close()
    errors_of(sqlite, CountItems())
    assert sqlite.problems(2000) == []


def test_rows_committed_by_the_work_itself_are_refused(sqlite: Engine, tmp_path: Path) -> None:
    """The work runs inside the batch's transaction: it cannot begin a durable one of its own."""

    class Durable(CountItems):
        def process_item(self, item: Item) -> None:
            with transaction.atomic(using=self.database, durable=True):
                super().process_item(item)

    sqlite.fill(1)
    with pytest.raises(CommandError, match="durable"):
        errors_of(sqlite, Durable())
