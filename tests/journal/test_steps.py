"""Tests the rows of steps."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from django_runbook import events
from django_runbook.exceptions import JournalLost
from django_runbook.journal.connection import JournalConnection
from django_runbook.journal.listener import Journal
from django_runbook.journal.write_queue import Write
from django_runbook.journal.writer import Writer
from django_runbook.models import Run, StepRun
from django_runbook.models.checkpoints import FailedRow
from django_runbook.models.fields import to_db_text
from django_runbook.results import Failure, Role
from tests.journal.support import resume, row
from tests.runner.support import run
from tests.testapp.management.commands import count_rows
from tests.testapp.models import Row

pytestmark = pytest.mark.django_db


def test_each_attempt_is_a_row(tmp_path: Path) -> None:
    run(
        tmp_path,
        "steps:\n  - {id: one, command: effect one --log log --fail-until 3, retry: {attempts: 3, delay: 0.01s}}\n",
    )
    assert list(StepRun.objects.order_by("attempt").values_list("attempt", "status", "message", "exit_code")) == [
        (1, "failed", "one is not ready", 1),
        (2, "failed", "one is not ready", 1),
        (3, "succeeded", "", 0),
    ]


def test_a_failure_is_recorded_with_its_traceback(tmp_path: Path) -> None:
    text = "steps:\n  - {id: outer, steps: [{id: one, command: fail --kind error}], continue_on_error: true}\n  - {id: two, command: fail --code 7}\n"
    run(tmp_path, text)
    one = row("one")
    assert (one.status, one.error_type, one.message) == ("failed", "ValueError", "nobody meant this")
    assert "in handle" in one.traceback
    assert (row("outer").status, row("outer").ignored, row("outer").traceback) == ("failed", True, "")
    assert row("two").exit_code == 7
    assert Run.objects.get().exit_code == 1


def test_groups_loops_and_handlers_have_rows(tmp_path: Path) -> None:
    text = """\
steps:
  - {id: group, steps: [{id: inner, command: noop}]}
  - {id: loop, command: "say ${{ item }}", for_each: [a, b]}
  - {id: empty, command: noop, for_each: []}
finally: [{id: last, command: noop}]
"""
    run(tmp_path, text)
    assert [(one.step_id, one.kind, one.role, one.group_ids) for one in StepRun.objects.order_by("pk")] == [
        ("group", "group", "step", []),
        ("inner", "command", "step", ["group"]),
        ("loop", "loop", "step", []),
        ("loop[1]", "command", "step", ["loop"]),
        ("loop[2]", "command", "step", ["loop"]),
        ("empty", "loop", "step", []),
        ("last", "command", "finally", []),
    ]


def test_the_recorded_output_is_limited(tmp_path: Path) -> None:
    (tmp_path / "many").write_text("".join(f"line {number}\n" for number in range(1500)))
    (tmp_path / "long").write_text("x" * 100_000 + "\n" + "y" * 50_000)
    run(tmp_path, "steps: [{id: many, command: show_file many}, {id: long, command: show_file long}]")
    many = row("many")
    head, tail = many.output_head.splitlines(), many.output_tail.splitlines()
    assert (head[0], tail[-1], many.omitted_count) == ("line 0", "line 1499", 1500 - len(head) - len(tail))
    assert (len(head), len(tail)) == (200, 800)
    assert len(row("long").output_head) + len(row("long").output_tail) <= 64 * 1024


def test_no_secret_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret-token")
    text = """\
secrets: [TOKEN]
steps:
  - {id: one, command: "say ${{ secrets.TOKEN }}", name: "Say ${{ secrets.TOKEN }}"}
  - {id: two, command: effect s3cret-token --log log --fail-until 9, continue_on_error: true}
  - {id: three, command: say hidden, no_log: true}
  - {id: four, command: say hidden, no_log: true, capture: text}
"""
    run(tmp_path, text)
    stored = repr([*Run.objects.values(), *StepRun.objects.values()])
    assert "s3cret" not in stored
    assert row("three").argv == ["say", "***"]
    assert row("three").output_head == ""
    assert (row("four").output, row("four").is_output_secret) == (None, True)


def test_no_value_of_a_step_with_no_log_is_stored(tmp_path: Path) -> None:
    text = """\
steps:
  - {id: one, command: say hidden-value, capture: text, no_log: true}
  - {id: two, command: effect two --log log, options: {pause: "${{ steps.one.output }}"}, no_log: true, continue_on_error: true}
  - {id: three, command: fail, for_each: ["${{ steps.one.output }}", "${{ steps.one.output }}"], no_log: true}
"""
    run(tmp_path, text)
    stored = [*Run.objects.values(), *StepRun.objects.defer("definition").values()]
    assert "hidden-value" not in repr([{**one, "definition": ""} for one in stored])
    assert [row(f"three[{number}]").name for number in (1, 2)] == ["fail (1)", "fail (2)"]


@pytest.mark.parametrize("depth", [100, 480])
def test_an_output_of_maximum_depth_is_recorded_and_restored(tmp_path: Path, depth: int) -> None:
    (tmp_path / "deep").write_text("[" * depth + "1" + "]" * depth)
    text = """\
steps:
  - {id: one, command: show_file deep, capture: json}
  - {id: two, command: "effect ${{ steps.one.output | string | length }} --log log --fail-if broken", for_each: "${{ steps.one.output }}"}
"""
    (tmp_path / "broken").touch()
    ended = run(tmp_path, text)
    assert ended.statuses["one"] == ("succeeded" if depth == 100 else "failed")
    (tmp_path / "broken").unlink()
    ended = resume(tmp_path)
    assert ended.exit_code == (0 if depth == 100 else 1), ended.errors


def test_no_secret_is_stored_with_a_failed_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: count_rows.Command, rows: Any) -> None:
        raise ValueError("no access with s3cret-token")

    monkeypatch.setenv("TOKEN", "s3cret-token")
    monkeypatch.setattr(count_rows.Command, "process_batch", refuse)
    Row.objects.create()
    run(tmp_path, "secrets: [TOKEN]\nsteps: [count_rows --max-errors 1]")
    failed = FailedRow.objects.get()
    assert failed.error == "ValueError: no access with ***"
    assert "s3cret" not in failed.traceback


def test_progress_is_recorded(tmp_path: Path) -> None:
    Row.objects.bulk_create(Row() for _ in range(5))
    run(tmp_path, "steps: [{id: rows, command: count_rows}]")
    assert (row("rows").done_count, row("rows").total_count, row("rows").failed_count) == (5, 5, 0)


def test_progress_is_visible_outside_of_transactions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_runbook.journal.steps._NOTE_SECONDS", 0.0)
    ended = run(tmp_path, "steps: [{id: seen, command: see_progress}]")
    assert ended.output("seen") == ["1 of 10", "in a transaction: 1 of 10", "3 of 10"]
    assert row("seen").done_count == 3


def test_characters_that_no_database_accepts_are_removed(tmp_path: Path) -> None:
    run(tmp_path, "steps: [{id: odd, command: misbehave surrogate}]")
    assert row("odd").output_head == "half of a character: \\udc80"
    run(tmp_path, 'steps: [{id: nul, command: say, args: ["a\\0b"]}]')
    assert row("nul").definition == "command: say\nargs: ab"


def test_no_column_holds_characters_that_a_database_refuses(tmp_path: Path) -> None:
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/half \xff"))
    folder.mkdir()
    text = """\
name: "a\\0b"
steps:
  - {id: a, name: "a\\0b", command: say, args: ["a\\0b"]}
  - {id: b, command: noop, when: "'a\\0' == 'b'"}
  - {id: c, command: fail}
"""
    assert run(folder, text).statuses == {"a": "succeeded", "b": "skipped", "c": "failed"}
    assert resume(folder).result("a")["reason"] == "completed earlier"
    rows = [*Run.objects.values(), *StepRun.objects.values()]
    texts = [value for row in rows for value in row.values() if isinstance(value, str)]
    assert [text for text in texts if to_db_text(text) != text] == []
    assert Run.objects.get().name == "ab"


def test_no_note_is_written_between_two_attempts() -> None:
    later: list[Write] = []
    noted: list[StepRun] = []

    def take_later(write: Write, *, seconds: float) -> bool:
        later.append(write)
        return True

    writes: Any = SimpleNamespace(
        error=None,
        add=lambda write: write(),
        add_row=lambda write: write(),
        add_later=take_later,
        wait=lambda: None,
    )
    writer: Any = SimpleNamespace(
        insert=lambda row: setattr(row, "pk", 1),
        finish=lambda row, status, changes, before: None,
        note=lambda row, changes: noted.append(row),
        can_note=lambda: True,
        is_waiting=False,
        connection=SimpleNamespace(),
    )
    one: Any = SimpleNamespace(text="", digest="", of=lambda step_id: one)
    journal = Journal(Run(), writer=writer, writes=writes, definitions=one, lock=one, mask=str, warn=print)
    at = datetime.datetime.now(datetime.UTC)
    start = events.StepStarted(at=at, step_id="it", name="", role=Role.STEP, file="", line=1, argv=("noop",))
    line = events.StepOutputWritten(at=at, step_id="it", stream="stdout", line="a line")
    failure = Failure(error_type="CommandError", message="no", exit_code=1)
    failed = events.AttemptFailed(at=at, step_id="it", attempt=1, attempt_count=2, delay_seconds=60, failure=failure)
    for event in (start, line, failed):
        journal(event)
    later.pop()()
    assert noted == []
    journal(events.AttemptStarted(at=at, step_id="it", attempt=2))
    journal(line)
    later.pop()()
    assert [row.attempt for row in noted] == [2]


def test_progress_after_a_commit_is_dropped() -> None:
    run = Run.objects.create(owner="me", pid=1, started_at=timezone.now())
    step = StepRun(run=run, step_id="one", attempt=1, run_attempt=run.attempt_count, started_at=timezone.now())
    late = Writer(run, connection=JournalConnection("default"))
    late.insert(step)
    StepRun.objects.update(status="succeeded")
    late.note(step, {"done_count": 3})
    assert row("one").done_count is None
    StepRun.objects.all().delete()
    with pytest.raises(JournalLost):
        late.note(step, {"done_count": 4})


@pytest.mark.django_db(transaction=True)
def test_a_batch_command_in_a_retried_group_runs_again(tmp_path: Path) -> None:
    Row.objects.bulk_create([Row() for _ in range(6)])
    text = f"""
steps:
  - id: group
    retry: {{attempts: 2, delay: 0}}
    steps:
      - {{id: rows, command: count_rows}}
      - fail --counter {tmp_path}/n --until 2
"""
    assert run(tmp_path, text).exit_code == 0
    assert set(Row.objects.values_list("count", flat=True)) == {2}
    assert [row.attempt for row in StepRun.objects.filter(step_id="rows").order_by("attempt")] == [1, 2]
