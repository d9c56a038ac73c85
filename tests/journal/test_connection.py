"""Tests statements of the journal while the database is busy or fails."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, OperationalError, transaction

from django_runbook.exceptions import JournalLost
from django_runbook.journal.connection import JournalConnection
from django_runbook.models import StepRun
from tests.journal.support import effects, row
from tests.runner.support import run

pytestmark = pytest.mark.django_db


def test_a_statement_waits_for_a_busy_database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_runbook.journal.connection._RETRY_SECONDS", 0.001)
    real, calls = StepRun.insert, []

    def insert(self: StepRun, **more: Any) -> None:
        calls.append(self.step_id)
        if len(calls) < 4:
            raise OperationalError("database is locked")
        real(self, **more)

    monkeypatch.setattr(StepRun, "insert", insert)
    assert run(tmp_path, "steps: [noop]").exit_code == 0
    assert len(calls) == 4


@pytest.mark.parametrize(
    "error", [OperationalError("disk I/O error"), DatabaseError("something else")], ids=["disk", "other"]
)
def test_any_other_error_ends_the_run_and_finally_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def insert(self: StepRun, **more: Any) -> None:
        raise error

    monkeypatch.setattr(StepRun, "insert", insert)
    text = "steps: [effect one --log log]\nfinally: [effect clean --log log]\n"
    ended = run(tmp_path, text)
    assert ended.exit_code == 1
    assert f"journal lost: {error}" in ended.errors + str(ended.events[-1])
    assert effects(tmp_path) == ["clean"]


@pytest.mark.parametrize("event", ["finish", "insert"])
def test_no_retry_runs_without_a_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, event: str) -> None:
    real = getattr(StepRun, event)

    def write(self: StepRun, *args: Any, **more: Any) -> Any:
        if event == "finish" or self.attempt > 1:
            raise OperationalError("disk I/O error")
        return real(self, *args, **more)

    monkeypatch.setattr(StepRun, event, write)
    text = "steps:\n  - {command: effect one --log log --fail-until 9, retry: {attempts: 3, delay: 0.01s}}\nfinally: [effect clean --log log]\n"
    ended = run(tmp_path, text)
    assert (ended.exit_code, effects(tmp_path)) == (1, ["one", "clean"])
    assert ended.events[-1]["result"]["reason"] == "journal lost: disk I/O error"


@pytest.mark.django_db(transaction=True)
def test_a_lost_answer_does_not_lose_the_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = StepRun.finish, []

    def finish(self: StepRun, *args: Any, **more: Any) -> bool:
        calls.append(self.step_id)
        if len(calls) == 1:
            # The write succeeded but its answer was lost.
            real(self, *args, **more)
            raise OperationalError("server closed the connection unexpectedly")
        return real(self, *args, **more)

    monkeypatch.setattr(StepRun, "finish", finish)
    monkeypatch.setattr(JournalConnection, "_is_transient", lambda self, error: True)
    assert run(tmp_path, "steps: [noop]").exit_code == 0
    assert row("noop").status == "succeeded"
    assert len(calls) == 2


@pytest.mark.only("inline")
@pytest.mark.django_db(transaction=True)
def test_a_connection_that_breaks_at_a_savepoint_does_not_lose_the_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_runbook.journal.connection._RETRY_SECONDS", 0.001)
    journal = JournalConnection("default")
    seen: list[bool] = []

    def write(is_repeated: bool) -> None:  # noqa: FBT001 - as JournalConnection calls it
        seen.append(is_repeated)
        if len(seen) > 2:
            return
        with contextlib.suppress(IntegrityError), transaction.atomic():
            # What Django does if the rollback to the savepoint fails.
            transaction.get_connection().needs_rollback = True
            raise IntegrityError("the row is there")
        transaction.get_connection().needs_rollback = True
        StepRun.objects.exists()

    journal.execute_together([lambda: journal.execute(write)])
    assert seen == [False, True, True]


@pytest.mark.only("inline")
@pytest.mark.django_db(transaction=True)
def test_the_writes_of_a_refused_transaction_know_that_they_may_be_committed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(JournalConnection, "_is_transient", lambda self, error: isinstance(error, OperationalError))
    journal = JournalConnection("default")
    seen: list[bool] = []
    errors = iter([OperationalError("the answer was lost"), DatabaseError("refused"), DatabaseError("refused")])

    def refuse(is_repeated: bool) -> None:  # noqa: FBT001 - as JournalConnection calls it
        raise next(errors)

    with pytest.raises(JournalLost, match="refused"):
        journal.execute_together([lambda: journal.execute(seen.append), lambda: journal.execute(refuse)])
    assert seen == [False, True, True]
    journal.execute(seen.append)
    assert seen[3:] == [False]
