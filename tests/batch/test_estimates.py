"""Commands that are only asked what they would do, on three databases."""

from __future__ import annotations

import gzip
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import BaseCommand
from django.db import DatabaseError
from django.db.models import QuerySet

from django_runbook.batch.estimates import EstimateRequest, WorkEstimate
from django_runbook.batch.parts.read_only import read_only
from django_runbook.batch.sources import record_counts
from django_runbook.models.checkpoints import Checkpoint, FailedRow
from tests.batch.commands import CountBatches
from tests.batch.engines import Engine
from tests.batch.file_commands import ByRow
from tests.batchapp.models import Item, Ledger

pytestmark = pytest.mark.slow
MANY = 12_000


class ByValue(CountBatches):
    """Walks along a column without an index."""

    key_fields = ("value",)


class SomeValues(CountBatches):
    """Its rows are those with a value that no index has."""

    def get_queryset(self) -> QuerySet[Item]:
        return Item.objects.filter(value="2")


class Todo(CountBatches):
    """Its rows are those that are not done."""

    is_todo = True

    def get_queryset(self) -> QuerySet[Item]:
        return Item.objects.filter(count=0)


def ask(
    command: BaseCommand, alias: str, *tokens: str, seconds: float = 5.0, ends_at: float = float("inf")
) -> WorkEstimate:
    found: list[WorkEstimate] = []
    request = EstimateRequest(receive=found.append, ends_at=ends_at)
    with read_only(alias, statement_seconds=seconds):
        call_command(command, *tokens, "--database", alias, estimate=request)
    (estimate,) = found
    return estimate


def estimated(command: BaseCommand, engine: Engine, *tokens: str, **options: float) -> WorkEstimate:
    before = {model: list(model.objects.using(engine.alias).values()) for model in (Checkpoint, FailedRow, Ledger)}
    estimate = ask(command, engine.alias, *tokens, **options)
    after = {model: list(model.objects.using(engine.alias).values()) for model in (Checkpoint, FailedRow, Ledger)}
    assert before == after
    return estimate


def test_rows_and_batches_are_counted_and_nothing_is_done(engine: Engine) -> None:
    engine.fill(2_500)
    found = estimated(CountBatches(), engine, "--batch-size", "1000")
    assert (found.count, found.batch_count, found.is_about, found.warnings) == (2_500, 3, False, ())
    assert estimated(CountBatches(), engine, "--limit", "10").count == 10
    assert estimated(CountBatches(), engine).batch_count is None
    shard = estimated(CountBatches(), engine, "--shard", "1/4")
    assert (shard.count, shard.is_about) == (625, True)
    assert estimated(SomeValues(), engine).count == 0


@pytest.mark.parametrize("kind", [CountBatches, Todo])
def test_the_rows_after_a_checkpoint_are_counted(engine: Engine, kind: type[CountBatches]) -> None:
    engine.fill(100)
    call_command(kind(), "--database", engine.alias, "--batch-size", "10", "--limit", "30")
    found = estimated(kind(), engine, "--batch-size", "10")
    assert (found.count, found.earlier_count, found.batch_count) == (70, 30, 7)
    assert estimated(kind(), engine, "--limit", "15").count == 15
    restarted = estimated(kind(), engine, "--restart")
    assert restarted.count == (100 if kind is CountBatches else 70)
    call_command(kind(), "--database", engine.alias)
    assert estimated(kind(), engine).earlier_count == 0


def test_shards_that_have_begun_are_counted_exactly(engine: Engine) -> None:
    engine.fill(100)
    call_command(CountBatches(), "--database", engine.alias, "--shard", "1/4", "--limit", "5")
    first, second = (estimated(CountBatches(), engine, "--shard", f"{number}/4") for number in (1, 2))
    assert (first.count, first.is_about, first.earlier_count) == (20, False, 5)
    assert (second.count, second.is_about, second.earlier_count) == (25, False, 0)
    call_command(CountBatches(), "--database", engine.alias, "--shard", "2/4")
    assert estimated(CountBatches(), engine, "--shard", "2/4").count == 0
    # A run would be refused too.
    with pytest.raises(CommandError, match="unfinished with other shards"):
        estimated(CountBatches(), engine)


def test_work_that_has_finished_under_its_key_has_no_rows(engine: Engine) -> None:
    engine.fill(10)
    call_command(CountBatches(), "--database", engine.alias, "--run-key", "a")
    found = estimated(CountBatches(), engine, "--run-key", "a")
    assert (found.count, found.reason) == (0, "this work has finished")
    assert estimated(CountBatches(), engine, "--run-key", "b").count == 10
    assert estimated(CountBatches(), engine, "--retry-failed").count == 0


def test_work_without_rows_has_no_warning_though_its_query_reads_the_table(engine: Engine) -> None:
    engine.fill(MANY)
    found = estimated(SomeValues(), engine)
    assert (found.count, found.warnings) == (0, ())


def test_a_key_without_an_index_gives_a_warning_and_the_primary_key_none(engine: Engine) -> None:
    engine.fill(MANY)
    with engine.connection.cursor() as cursor:
        cursor.execute("ANALYZE" if engine.vendor != "mariadb" else "ANALYZE TABLE batchapp_item")
    assert estimated(CountBatches(), engine, "--batch-size", "100").warnings == ()
    warnings = estimated(ByValue(), engine, "--batch-size", "100").warnings
    assert warnings
    assert all("batchapp_item; an index on (value, id) is missing or unused" in warning for warning in warnings)
    # Few rows of a big table are no reason to be silent, and a few rows of a small one are.
    engine.clear()
    engine.fill(100)
    assert estimated(ByValue(), engine, "--batch-size", "100").warnings == ()


def test_a_count_that_takes_too_long_is_given_up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    engine.fill(10)

    def slow(rows: Any) -> QuerySet[Item]:
        # Eight times the same ten rows: a count of so many pairs takes minutes.
        tables = ", ".join(f"batchapp_item i{number}" for number in range(8))
        return Item.objects.extra(where=[f"(SELECT count(*) FROM {tables}) > 0"])

    monkeypatch.setattr(CountBatches, "get_queryset", slow)
    found = estimated(CountBatches(), engine, seconds=0.2)
    assert found.count is None if engine.vendor != "postgresql" else found.is_about
    # The limit is gone.
    with engine.connection.cursor() as cursor:
        limits = {"postgresql": "SHOW statement_timeout", "mariadb": "SELECT @@SESSION.max_statement_time"}
        cursor.execute(limits.get(engine.vendor, "SELECT '0'"))
        assert str(cursor.fetchone()[0]) in {"0", "0.000000", "0.0"}


def test_nothing_is_asked_after_the_end_of_the_time(engine: Engine) -> None:
    engine.fill(10)
    found = estimated(CountBatches(), engine, ends_at=time.monotonic() - 1)
    assert (found.count, found.reason) == (None, "counting takes longer than 2s")


def test_an_error_of_the_database_is_not_taken_for_a_slow_answer(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CountBatches, "get_queryset", lambda rows: Item.objects.extra(where=["missing_column = 1"]))
    with pytest.raises(DatabaseError, match="missing_column"):
        estimated(CountBatches(), engine)


FILES: dict[str, tuple[str, Callable[[], bytes], int | str]] = {
    "small": ("a.csv", lambda: b"number\n" + b"1\n" * 10, 10),
    "without a last line break": ("a.csv", lambda: b"number\n1\n2", 2),
    "with empty lines": ("a.csv", lambda: b"number\n1\n\n2\n", 2),
    "of several lines each": ("a.csv", lambda: b'number,b\n1,"x\ny"\n' * 5, 9),
    "without rows": ("a.csv", lambda: b"number\n", 0),
    "empty": ("a.csv", lambda: b"", "no header"),
    "compressed": ("a.csv.gz", lambda: gzip.compress(b"number\n" + b"1\n" * 10), 10),
    "not what its name says": ("a.csv.gz", lambda: b"number\n1\n", "cannot read"),
    "with a giant line": ("a.csv", lambda: b"number\n" + b"1" * 2_000_000, "a.csv:2: the line has more than"),
}


@pytest.mark.parametrize("name", FILES)
def test_the_rows_of_a_file_are_counted(name: str, sqlite: Engine, tmp_path: Path) -> None:
    file, content, expected = FILES[name]
    (tmp_path / file).write_bytes(content())
    if isinstance(expected, str):
        with pytest.raises(CommandError, match=expected):
            ask(ByRow(), sqlite.alias, str(tmp_path / file))
    else:
        found = ask(ByRow(), sqlite.alias, str(tmp_path / file))
        assert (found.count, found.is_about) == (expected, False)


def test_a_file_that_cannot_be_read_twice_is_not_read_once(sqlite: Engine, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, message in (("pipe", "not a regular file"), ("missing", "No such file"), ("", "not a regular file")):
        with pytest.raises(CommandError, match=message):
            ask(ByRow(), sqlite.alias, str(tmp_path / path))


@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_the_rows_of_a_big_file_are_extrapolated(
    suffix: str, sqlite: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = b"".join(b"%d\n" % (number * 7919 % 90_000 + 10_000) for number in range(50_000))
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress(b"number\n" + rows) if suffix == ".csv.gz" else b"number\n" + rows)
    monkeypatch.setattr(record_counts, "_SAMPLE_BYTES", 150_000)
    found = ask(ByRow(), sqlite.alias, str(path))
    assert found.is_about
    assert found.count is not None
    assert 45_000 < found.count < 55_000
    # The end of the sample may lie inside of a record.
    path = tmp_path / "quoted.csv"
    path.write_bytes(b"number,b\n" + b'1,"x\ny\nz"\n' * 20_000)
    for size in range(50_000, 50_012):
        monkeypatch.setattr(record_counts, "_SAMPLE_BYTES", size)
        quoted = ask(ByRow(), sqlite.alias, str(path))
        assert quoted.count is not None
        assert 19_000 < quoted.count < 21_000


def test_a_file_that_shrinks_to_little_is_extrapolated_as_well(
    sqlite: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A fiftieth: all of it is less than what Python reads ahead. Two members, as of a log that was appended to.
    path = tmp_path / "even.csv.gz"
    member = b"".join(b"%d,%s\n" % (number, b"x" * 90) for number in range(25_000))
    path.write_bytes(gzip.compress(b"number,b\n" + member) + gzip.compress(member))
    monkeypatch.setattr(record_counts, "_SAMPLE_BYTES", 1_000_000)
    found = ask(ByRow(), sqlite.alias, str(path))
    assert found.is_about
    assert found.count is not None
    assert 45_000 < found.count < 55_000


def test_the_rows_after_the_checkpoint_of_a_file_are_counted(sqlite: Engine, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"number,key\n" + b"".join(b"%d,%d\n" % (number, number) for number in range(30)))
    call_command(ByRow(), str(path), "--database", sqlite.alias, "--limit", "10", "--batch-size", "5")
    found = ask(ByRow(), sqlite.alias, str(path), "--batch-size", "5")
    assert (found.count, found.earlier_count, found.batch_count) == (20, 10, 4)
