"""Tests that an atomic step and its row are committed together."""

from __future__ import annotations

import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from django_runbook import events
from django_runbook.exceptions import JournalLost, RunbookError
from django_runbook.executors.atomic import atomically
from django_runbook.journal.listener import Journal
from django_runbook.journal.write_queue import Write
from django_runbook.models import Run
from django_runbook.results import Role, StepStatus
from django_runbook.structs import replace
from tests.journal.support import effects, row
from tests.runner.support import run
from tests.testapp.models import Mark

pytestmark = pytest.mark.django_db


def test_an_atomic_step_and_its_row_are_one_transaction(tmp_path: Path) -> None:
    text = "steps:\n  - {id: one, command: effect one --log log --mark, atomic: true}\n  - {id: two, command: effect two --log log --mark --fail-until 9, atomic: true}\n"
    run(tmp_path, text)
    assert [mark.name for mark in Mark.objects.all()] == ["one"]
    assert (row("one").status, row("two").status) == ("succeeded", "failed")


class HeldWrites:
    """Holds writes that wait for the transaction of a step."""

    def __init__(self) -> None:
        self.error: RunbookError | None = None
        self.count = 0

    def add(self, write: Write) -> None:
        self.count += 1

    add_row = add

    def add_later(self, write: Write, *, seconds: float) -> bool:
        return False

    def wait(self) -> None:
        pytest.fail("the wait would never end")

    def close(self) -> None: ...


def test_an_atomic_step_commits_while_other_writes_wait_for_its_transaction() -> None:
    writes = HeldWrites()
    one: Any = SimpleNamespace(
        text="", digest="", is_waiting=False, alias="default", of=lambda step_id: one, connection=SimpleNamespace()
    )
    journal = Journal(Run(), writer=one, writes=writes, definitions=one, lock=one, mask=str, warn=print)
    at = datetime.datetime.now(datetime.UTC)
    for step_id in ("one", "other"):
        journal(events.StepStarted(at=at, step_id=step_id, name="", role=Role.STEP, file="", line=1, argv=("noop",)))
    assert writes.count == 2
    assert journal.success_write("one") is not None
    writes.error = JournalLost("gone")
    with pytest.raises(JournalLost):
        journal.success_write("one")


def test_an_atomic_step_with_unreadable_output_is_rolled_back(tmp_path: Path) -> None:
    run(
        tmp_path,
        "steps:\n  - {id: one, command: effect one --log log --mark --output no, atomic: true, capture: json}\n",
    )
    assert not Mark.objects.exists()
    assert row("one").status == "failed"


def test_the_row_decides_whether_an_atomic_step_was_committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lose_the_answer(call: Any, **more: Any) -> Any:
        return replace(atomically(call, **more), status=StepStatus.FAILED)

    monkeypatch.setattr("django_runbook.executors.inline.atomically", lose_the_answer)
    run(tmp_path, "steps:\n  - {id: one, command: effect one --log log --mark, atomic: true}\n")
    assert row("one").status == "succeeded"
    assert Run.objects.get().status == "succeeded"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("step", ["take_over", "take_over --wipe"])
def test_a_journal_lost_in_an_atomic_step_ends_the_run(tmp_path: Path, step: str) -> None:
    text = f"""\
steps:
  - {{id: one, command: {step}, atomic: true, retry: {{attempts: 3, delay: 0s}}}}
  - effect two --log log
on_failure: [effect repair --log log, {{command: effect mark --log log --mark, atomic: true}}]
finally: [effect clean --log log]
"""
    ended = run(tmp_path, text)
    assert (ended.exit_code, ended.status) == (1, "failed")
    assert ended.statuses["one"] == "failed"
    assert ended.result("one")["attempt_count"] == 1
    assert "journal lost" in ended.events[-1]["result"]["reason"]
    assert effects(tmp_path) == ["repair", "mark", "clean"]
    assert Mark.objects.get().name == "mark"
