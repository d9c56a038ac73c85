"""Tests which rows are recorded as failed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management.base import CommandError
from django.db import OperationalError
from django.test.utils import CaptureQueriesContext

from django_runbook.batch.core import checkpoint as checkpoints
from django_runbook.models.checkpoints import Checkpoint, FailedRow
from tests.batch.commands import BOTH, CountBatches, CountItems, call, failing, pks
from tests.batch.engines import Engine
from tests.batchapp.models import (
    Item,
)


@BOTH
def test_a_failed_row_is_recorded_after_a_short_outage_of_the_database(
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
    reported: list[str] = []
    monkeypatch.setattr(failing_command, "write_message", reported.append)
    with pytest.raises(CommandError, match="1 failed; --retry-failed"):
        call(sqlite, failing_command, "--max-errors", 5, "--batch-size", 4)
    assert reported.count(f"batchapp.Item {bad}: ValueError: {bad} is bad; recorded as failed") == 1
    assert [next(rest, None) for rest in failures.values()] == [None, None]
    assert FailedRow.objects.using(sqlite.alias).count() == 1
    assert list(Item.objects.using(sqlite.alias).exclude(count=1).values_list("pk", flat=True)) == [bad]


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
def test_any_error_is_recorded_as_far_as_it_can_be_stored(engine: Engine, text: str, stored: str) -> None:
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


def test_a_concurrently_retried_row_has_not_failed(sqlite: Engine) -> None:
    sqlite.fill(6)
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, CountItems(failing(pks(sqlite)[0])), "--max-errors", 1, "--limit", 3)
    call(sqlite, CountItems(), "--retry-failed")
    assert call(sqlite, CountItems(), "--max-errors", 1)[0] == "3 done (5 including earlier runs)\n"
    assert sqlite.problems(6) == []


def test_a_run_from_the_start_deletes_the_failures_of_the_last_one(sqlite: Engine) -> None:
    sqlite.fill(3)
    with pytest.raises(CommandError):
        call(sqlite, CountItems(failing(pks(sqlite)[0])), "--max-errors", 1)
    call(sqlite, CountItems())
    assert not FailedRow.objects.using(sqlite.alias).exists()


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
def test_a_row_without_a_failure_record_is_not_skipped(
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
