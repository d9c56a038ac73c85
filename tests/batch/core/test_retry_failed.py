"""Tests retries of recorded failed rows."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.core.management.base import CommandError
from django.db import OperationalError, connections, transaction
from django.test.utils import CaptureQueriesContext

from django_runbook.models.checkpoints import FailedRow
from tests.batch.commands import (
    BOTH,
    CountItems,
    MarkItems,
    Skipping,
    call,
    failing,
    is_waiting,
    pks,
    swallow,
)
from tests.batch.engines import Engine
from tests.batchapp.models import (
    Item,
)
from tests.patience import wait_until


@BOTH
def test_one_bad_row_among_hundreds_is_recorded_and_done_later(sqlite: Engine, command: type[CountItems]) -> None:
    sqlite.fill(200)
    bad = pks(sqlite)[111]
    with pytest.raises(CommandError, match="1 failed; --retry-failed") as caught:
        call(sqlite, command(failing(bad)), "--max-errors", 5, "--batch-size", 80)
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
    assert sqlite.problems(200) == []


@BOTH
def test_a_failed_row_is_reported_once(
    sqlite: Engine, monkeypatch: pytest.MonkeyPatch, command: type[CountItems]
) -> None:
    sqlite.fill(9)
    failing_command = command(failing(pks(sqlite)[4]))
    reported: list[str] = []
    monkeypatch.setattr(failing_command, "write_message", reported.append)
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, failing_command, "--max-errors", 1)
    assert len(reported) == 1


@BOTH
def test_a_deleted_failed_row_is_not_done(sqlite: Engine, command: type[CountItems]) -> None:
    sqlite.fill(4)
    bad = pks(sqlite)[1]
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, command(failing(bad)), "--max-errors", 1)
    Item.objects.using(sqlite.alias).filter(pk=bad).delete()
    out, err = call(sqlite, command(), "--retry-failed")
    assert (out, err) == ("0 done\n", f"batchapp.Item {bad} no longer exists, or no longer needs to be done\n")


def test_a_deleted_record_does_not_matter_when_its_row_fails_again(
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


def test_a_deleted_failed_row_is_reported(sqlite: Engine) -> None:
    sqlite.fill(3)
    bad = pks(sqlite)[1]
    with pytest.raises(CommandError):
        call(sqlite, CountItems(failing(bad)), "--max-errors", 1)
    Item.objects.using(sqlite.alias).filter(pk=bad).delete()
    assert call(sqlite, CountItems(), "--retry-failed")[0] == "0 done\n"
    assert not FailedRow.objects.using(sqlite.alias).exists()


def test_an_interrupted_retry_reports_the_remaining_rows(sqlite: Engine) -> None:
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


def test_a_pause_comes_between_retried_rows(sqlite: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite.fill(5)
    bad = pks(sqlite)[:3]
    with pytest.raises(CommandError, match="3 failed"):
        call(sqlite, CountItems(failing(*bad)), "--max-errors", 3)
    command, seen = CountItems(), list[object]()
    command.look = lambda item: seen.append(item.pk)
    monkeypatch.setattr(command, "wait", seen.append)
    call(sqlite, command, "--retry-failed", "--pause", 60)
    assert seen == [bad[0], 60.0, bad[1], 60.0, bad[2]]


def test_a_stop_during_a_pause_ends_the_retry(sqlite: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    sqlite.fill(5)
    bad = pks(sqlite)[:3]
    with pytest.raises(CommandError, match="3 failed"):
        call(sqlite, CountItems(failing(*bad)), "--max-errors", 3)
    command = CountItems()
    monkeypatch.setattr(command, "wait", lambda seconds: command.request_stop("enough"))
    _, err = call(sqlite, command, "--retry-failed", "--pause", 60)
    assert err == "stopped (enough); 1 done; 2 not retried; --retry-failed continues with them\n"


def test_a_retry_waits_for_a_locked_row_although_the_command_skips_locked_rows(postgresql: Engine) -> None:
    postgresql.fill(3)
    with pytest.raises(CommandError, match="1 failed"):
        call(postgresql, Skipping(failing(pks(postgresql)[1])), "--max-errors", 1)
    with CaptureQueriesContext(postgresql.connection) as captured:
        call(postgresql, Skipping(), "--retry-failed")
    locking = [query["sql"] for query in captured.captured_queries if "FOR UPDATE" in query["sql"]]
    assert locking
    assert not [sql for sql in locking if "SKIP LOCKED" in sql]


def test_a_row_with_an_undeletable_record_is_not_retried_immediately(
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


def test_a_failed_row_with_a_failing_commit_stays_recorded(sqlite: Engine) -> None:
    sqlite.fill(3)
    with pytest.raises(CommandError, match="1 failed"):
        call(sqlite, CountItems(failing(pks(sqlite)[2])), "--max-errors", 1)
    with pytest.raises(CommandError, match="TransactionManagementError"):
        call(sqlite, CountItems(lambda item: swallow(sqlite)), "--retry-failed")
    assert FailedRow.objects.using(sqlite.alias).count() == 1
    call(sqlite, CountItems(), "--retry-failed")
    assert sqlite.problems(3) == []


class Repaired(MarkItems):
    """Can do row 50 once row 60 is done, when a row before its cursor requires a final pass."""

    engine: Engine
    directory: Path
    is_retry = False

    def process_item(self, item: Item) -> None:
        if item.pk == 50 and not (self.directory / "fixed").exists():
            raise ValueError("bad")
        super().process_item(item)
        if item.pk == 60:
            transaction.on_commit(self.fix, using=self.database)
        if self.is_retry:
            (self.directory / "retrying").touch()
            wait_until(lambda: is_waiting(self.engine), what="the last look")

    def fix(self) -> None:
        Item.objects.using(self.database).create(pk=45)
        (self.directory / "fixed").touch()
        wait_until((self.directory / "retrying").exists, what="the retry")


@pytest.mark.slow
@pytest.mark.parametrize("vendor", ["postgresql", "mariadb"])
def test_a_failed_row_in_a_final_pass_and_a_retry_is_done_once(
    request: pytest.FixtureRequest, vendor: str, tmp_path: Path
) -> None:
    engine: Engine = request.getfixturevalue(vendor)
    Item.objects.using(engine.alias).bulk_create([Item(pk=pk) for pk in (10, 20, 30, 40, 50, 60)])
    run, retry = Repaired(), Repaired()
    run.engine = retry.engine = engine
    run.directory = retry.directory = tmp_path
    retry.is_retry = True
    options = ("--batch-size", 1, "--max-errors", 1)
    assert engine.run(run, "--shard", "1/2", *options) == 0
    with engine.forked(engine.work(run, "--shard", "2/2", *options)) as child:
        wait_until((tmp_path / "fixed").exists, what="the last row")
        assert engine.run(retry, "--retry-failed") == 0
        child.wait()
    assert engine.problems(7) == []
    assert not FailedRow.objects.using(engine.alias).exists()
