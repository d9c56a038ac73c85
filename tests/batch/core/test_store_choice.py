"""Tests where checkpoints are kept."""

from __future__ import annotations

import pytest
from django.core.management.base import CommandError

from django_runbook.batch.core import checkpoint_tables
from django_runbook.models.checkpoints import Checkpoint
from tests.batch.commands import CountItems, Whole, call, failing, pks
from tests.batch.engines import Engine


def test_checkpoints_in_another_database_are_reported_as_at_least_once(without_table: Engine) -> None:
    without_table.fill(10)
    _, err = call(without_table, CountItems(), "--batch-size", 2, "--limit", 4)
    assert err.startswith("at least once: the database ")
    assert Checkpoint.objects.get().done_count == 4
    call(without_table, CountItems(), "--batch-size", 2)
    assert without_table.problems(10) == []
    assert not Checkpoint.objects.exists()


def test_without_a_table_a_run_reports_that_it_starts_over(sqlite: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_a_command_in_one_transaction_stores_no_checkpoint_in_another_database(without_table: Engine) -> None:
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
