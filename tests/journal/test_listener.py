from __future__ import annotations

import datetime
import os
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, OperationalError
from django.dispatch import Signal
from django.utils import timezone

from django_runbook import conf, events, signals
from django_runbook.exceptions import JournalLost, LockLost, RunbookError
from django_runbook.executors.atomic import atomically
from django_runbook.fields import to_db_text
from django_runbook.journal.connection import JournalConnection
from django_runbook.journal.listener import Journal
from django_runbook.journal.write_queue import Write
from django_runbook.journal.writer import Writer
from django_runbook.locks.base import LockState
from django_runbook.locks.factory import new_factory
from django_runbook.locks.file import FileLock
from django_runbook.models import FailedRow, Run, StepRun
from django_runbook.results import Failure, Role, StepStatus
from tests.journal.support import effects, resume
from tests.runner.support import run
from tests.testapp.management.commands import count_rows
from tests.testapp.models import Mark, Row

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def row(step_id: str, **more: Any) -> StepRun:
    return StepRun.objects.filter(step_id=step_id, **more).order_by("attempt").last() or pytest.fail(step_id)


# -- rows ------------------------------------------------------------------------------------------------------------------


def test_durations_are_measured_by_a_clock_that_is_never_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hours = iter(range(10**6))
    now = datetime.datetime.now(datetime.UTC)

    def set_back(zone: datetime.tzinfo) -> datetime.datetime:
        return (now - datetime.timedelta(hours=next(hours))).astimezone(zone)

    text = """\
steps:
  - {id: slow, command: effect slow --log log --pause 0.2}
  - {id: tried, command: effect tried --log log --fail-until 3, retry: {attempts: 3, delay: 0.3s, backoff: 1, jitter: false}}
  - {id: group, steps: [noop]}
"""
    clock = SimpleNamespace(datetime=SimpleNamespace(now=set_back), UTC=datetime.UTC)
    monkeypatch.setattr("django_runbook.runner.context.datetime", clock)
    assert run(tmp_path, text).exit_code == 0
    monkeypatch.undo()
    recorded = Run.objects.get()
    assert recorded.finished_at is not None
    assert recorded.finished_at < recorded.started_at
    took = {step.step_id: step.took_seconds or 0.0 for step in StepRun.objects.order_by("pk")}
    assert 0.2 <= took["slow"] < 5
    # With its retries, and the pauses before them.
    assert 0.6 <= took["tried"] < 5
    assert took["slow"] + took["tried"] <= (recorded.took_seconds or 0.0) < 10
    for step in StepRun.objects.filter(attempt__lt=3, step_id="tried"):
        assert step.took_seconds is not None
        assert step.took_seconds >= 0
    call_command("show_runs")
    call_command("show_runs", "--run", recorded.pk)
    assert "-" not in "".join(re.findall(r"[-\d.]+s\b", capsys.readouterr().out))


def test_the_duration_of_a_resumed_run_is_that_of_its_last_attempt(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    run(tmp_path, "steps: [{id: one, command: effect one --log log --pause 0.3 --fail-if broken}, noop]")
    first = Run.objects.get()
    assert first.duration_seconds is not None
    assert first.duration_seconds >= 0.3
    (tmp_path / "broken").unlink()
    resume(tmp_path)
    second = Run.objects.get()
    assert second.duration_seconds is not None
    assert 0.3 <= second.duration_seconds < 10
    assert second.duration_seconds != first.duration_seconds
    noop = StepRun.objects.get(step_id="noop", run_attempt=1)
    # It was not called.
    assert (noop.duration_seconds, noop.took_seconds) == (None, None)


def test_a_run_is_recorded_with_what_it_was_given(tmp_path: Path) -> None:
    text = "name: Nightly\nparams: {word: hello}\nsteps:\n  - {id: one, command: 'say ${{ params.word }}'}\n  - noop\n"
    run(tmp_path, text, param=["word=day"], only=["one"])
    recorded = Run.objects.get()
    assert (recorded.name, recorded.status, recorded.exit_code, recorded.params, recorded.step_count) == (
        "Nightly",
        "succeeded",
        0,
        {"word": "day"},
        1,
    )
    assert recorded.options["only"] == ["one"]
    assert recorded.host
    assert recorded.finished_at is not None
    assert re.fullmatch(r"[0-9a-f]{64}", recorded.file_hash)
    one, other = recorded.steps.order_by("pk")
    assert (one.step_id, one.kind, one.argv, one.status, one.exit_code, one.output_head, one.line) == (
        "one",
        "command",
        ["say", "day"],
        "succeeded",
        0,
        "day",
        4,
    )
    assert one.definition == "command: say ${{ params.word }}"
    assert (other.step_id, other.status, other.reason, other.started_at) == ("noop", "skipped", "--only", None)


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


def test_output_is_kept_within_a_bound(tmp_path: Path) -> None:
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
def test_an_output_as_deep_as_can_be_is_recorded_and_seen_again(tmp_path: Path, depth: int) -> None:
    (tmp_path / "deep").write_text("[" * depth + "1" + "]" * depth)
    text = """\
steps:
  - {id: one, command: show_file deep, capture: json}
  - {id: two, command: "effect ${{ steps.one.output | string | length }} --log log --fail-if broken", for_each: "${{ steps.one.output }}"}
"""
    (tmp_path / "broken").touch()
    told = run(tmp_path, text)
    assert told.statuses["one"] == ("succeeded" if depth == 100 else "failed")
    (tmp_path / "broken").unlink()
    told = resume(tmp_path)
    assert told.exit_code == (0 if depth == 100 else 1), told.errors


def test_no_secret_is_stored_of_rows_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_progress_can_be_seen_while_nobody_is_in_a_transaction(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_runbook.journal.steps._NOTE_SECONDS", 0.0)
    told = run(tmp_path, "steps: [{id: seen, command: see_progress}]")
    assert told.output("seen") == ["1 of 10", "in a transaction: 1 of 10", "3 of 10"]
    assert row("seen").done_count == 3


def test_what_no_database_takes_is_left_out(tmp_path: Path) -> None:
    run(tmp_path, "steps: [{id: odd, command: misbehave surrogate}]")
    assert row("odd").output_head == "half of a character: \\udc80"
    run(tmp_path, 'steps: [{id: nul, command: say, args: ["a\\0b"]}]')
    assert row("nul").definition == "command: say\nargs: ab"


def test_no_text_is_stored_that_a_database_refuses(tmp_path: Path) -> None:
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
    assert resume(folder).result("a")["reason"] == "finished before"
    rows = [*Run.objects.values(), *StepRun.objects.values()]
    texts = [value for row in rows for value in row.values() if isinstance(value, str)]
    assert [text for text in texts if to_db_text(text) != text] == []
    assert Run.objects.get().name == "ab"


@pytest.mark.parametrize(
    ("kept", "status", "said"),
    [
        (LockState.RETAKEN, "succeeded", "run {id}"),
        (LockState.LOST, "failed", 'the lock "run {id}" was lost, so another process may resume the run'),
    ],
)
def test_the_lock_that_says_that_a_run_lives_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: LockState, status: str, said: str
) -> None:
    keep = FileLock.keep
    monkeypatch.setattr("django_runbook.locks.watching.INTERVAL_SECONDS", 0.05)
    monkeypatch.setattr(FileLock, "keep", lambda lock: kept if lock.name.startswith("run ") else keep(lock))
    told = run(
        tmp_path, f"steps: [work --how short --log {tmp_path / 'work'}, {{id: two, command: effect two --log log}}]"
    )
    recorded = Run.objects.get()
    assert told.status == status
    # 75 would say that nothing was run.
    assert told.exit_code == (0 if status == "succeeded" else 1)
    retaken = [event["name"] for event in told.events if event["event"] == "lock_retaken"]
    assert said.format(id=recorded.pk) in [*retaken, told.events[-1]["result"]["reason"]]
    assert recorded.status == status
    if status == "failed":
        assert effects(tmp_path) == []
        assert said.format(id=recorded.pk) in recorded.reason
        monkeypatch.setattr(FileLock, "keep", keep)
        assert (resume(tmp_path).exit_code, effects(tmp_path)) == (0, ["two"])


def test_a_run_remembers_what_keeps_its_lock(tmp_path: Path) -> None:
    run(tmp_path, "steps: [noop]")
    assert Run.objects.get().lock_backend == new_factory(conf.read(), what="a test").identity != ""


def test_a_run_that_goes_on_is_the_same_run(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    run(
        tmp_path,
        "steps:\n  - {id: one, command: effect one --log log}\n  - {id: two, command: effect two --log log --fail-if broken}\n",
    )
    before = Run.objects.get()
    (tmp_path / "broken").unlink()
    told = resume(tmp_path)
    after = Run.objects.get()
    assert (after.pk, after.status, after.attempt_count, after.now) == (before.pk, "succeeded", 2, before.now)
    assert after.owner != before.owner
    assert told.result("one")["is_past"]
    assert [(one.step_id, one.attempt, one.run_attempt, one.status) for one in after.steps.order_by("pk")] == [
        ("one", 1, 1, "succeeded"),
        ("two", 1, 1, "failed"),
        ("two", 2, 2, "succeeded"),
    ]


@pytest.mark.parametrize(
    "options",
    [{"no_journal": True}, {"dry_run": True}, {"plan": True}, {"list": True}],
    ids=lambda options: next(iter(options)),
)
def test_some_calls_are_not_recorded(tmp_path: Path, options: dict[str, bool]) -> None:
    run(tmp_path, "steps: [noop]", **options)
    assert not Run.objects.exists()


def test_a_setting_turns_the_journal_off(tmp_path: Path, settings: Any) -> None:
    settings.RUNBOOK = {**settings.RUNBOOK, "JOURNAL": False}
    run(tmp_path, "steps: [noop]")
    assert not Run.objects.exists()
    assert "there is no journal" in resume(tmp_path).errors


# -- transactions ----------------------------------------------------------------------------------------------------------


def test_an_atomic_step_and_its_row_are_one_transaction(tmp_path: Path) -> None:
    text = "steps:\n  - {id: one, command: effect one --log log --mark, atomic: true}\n  - {id: two, command: effect two --log log --mark --fail-until 9, atomic: true}\n"
    run(tmp_path, text)
    assert [mark.name for mark in Mark.objects.all()] == ["one"]
    assert (row("one").status, row("two").status) == ("succeeded", "failed")


class HeldWrites:
    """Takes writes that wait for the transaction of a step."""

    def __init__(self) -> None:
        self.error: RunbookError | None = None
        self.count = 0

    def add(self, write: Write) -> None:
        self.count += 1

    def add_later(self, write: Write, *, seconds: float) -> bool:
        return False

    def wait(self) -> None:
        pytest.fail("this would wait for ever")

    def close(self) -> None:
        """Nothing is left to do."""


def test_a_run_whose_lock_is_lost_before_its_first_step_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(journal: Journal) -> None:
        raise LockLost("the lock was lost")

    monkeypatch.setattr(Journal, "wait", lose)
    told = run(tmp_path, "steps: [{id: one, command: say one}]")
    assert (told.status, told.exit_code, told.statuses) == ("failed", 1, {"one": "not_run"})
    recorded = Run.objects.get()
    assert (recorded.status, recorded.exit_code) == ("failed", 1)
    assert "was lost" in recorded.reason


def test_no_note_is_written_between_two_attempts() -> None:
    later: list[Write] = []
    noted: list[StepRun] = []

    def take_later(write: Write, *, seconds: float) -> bool:
        later.append(write)
        return True

    writes: Any = SimpleNamespace(error=None, add=lambda write: write(), add_later=take_later, wait=lambda: None)
    writer: Any = SimpleNamespace(
        insert=lambda row: setattr(row, "pk", 1),
        finish=lambda row, status, changes: None,
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


def test_an_atomic_step_may_commit_while_other_writes_wait_for_its_transaction() -> None:
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


def test_progress_that_is_written_after_a_commit_is_left_out() -> None:
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


def test_an_atomic_step_whose_output_cannot_be_read_is_not_kept(tmp_path: Path) -> None:
    run(
        tmp_path,
        "steps:\n  - {id: one, command: effect one --log log --mark --output no, atomic: true, capture: json}\n",
    )
    assert not Mark.objects.exists()
    assert row("one").status == "failed"


def test_an_atomic_step_whose_commit_is_in_doubt_is_what_its_row_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose_the_answer(call: Any, **more: Any) -> Any:
        return replace(atomically(call, **more), status=StepStatus.FAILED)

    monkeypatch.setattr("django_runbook.executors.inline.atomically", lose_the_answer)
    run(tmp_path, "steps:\n  - {id: one, command: effect one --log log --mark, atomic: true}\n")
    assert row("one").status == "succeeded"
    assert Run.objects.get().status == "succeeded"


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("step", ["take_over", "take_over --wipe"])
def test_a_journal_that_gets_lost_in_an_atomic_step_ends_the_run(tmp_path: Path, step: str) -> None:
    text = f"""\
steps:
  - {{id: one, command: {step}, atomic: true, retry: {{attempts: 3, delay: 0s}}}}
  - effect two --log log
on_failure: [effect repair --log log, {{command: effect mark --log log --mark, atomic: true}}]
finally: [effect clean --log log]
"""
    told = run(tmp_path, text)
    assert (told.exit_code, told.status) == (1, "failed")
    assert told.statuses["one"] == "failed"
    assert told.result("one")["attempt_count"] == 1
    assert "journal lost" in told.events[-1]["result"]["reason"]
    assert effects(tmp_path) == ["repair", "mark", "clean"]
    assert Mark.objects.get().name == "mark"


# -- faults ----------------------------------------------------------------------------------------------------------------


def test_a_busy_database_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    "error", [OperationalError("disk I/O error"), DatabaseError("something else")], ids=["disk", "else"]
)
def test_another_error_ends_the_run_and_finally_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def insert(self: StepRun, **more: Any) -> None:
        raise error

    monkeypatch.setattr(StepRun, "insert", insert)
    text = "steps: [effect one --log log]\nfinally: [effect clean --log log]\n"
    told = run(tmp_path, text)
    assert told.exit_code == 1
    assert f"journal lost: {error}" in told.errors + str(told.events[-1])
    assert effects(tmp_path) == ["clean"]


@pytest.mark.parametrize("event", ["finish", "insert"])
def test_no_other_attempt_is_made_of_which_nobody_would_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, event: str
) -> None:
    real = getattr(StepRun, event)

    def write(self: StepRun, *args: Any, **more: Any) -> Any:
        if event == "finish" or self.attempt > 1:
            raise OperationalError("disk I/O error")
        return real(self, *args, **more)

    monkeypatch.setattr(StepRun, event, write)
    text = "steps:\n  - {command: effect one --log log --fail-until 9, retry: {attempts: 3, delay: 0.01s}}\nfinally: [effect clean --log log]\n"
    told = run(tmp_path, text)
    assert (told.exit_code, effects(tmp_path)) == (1, ["one", "clean"])
    assert told.events[-1]["result"]["reason"] == "journal lost: disk I/O error"


@pytest.mark.django_db(transaction=True)
def test_a_write_whose_answer_got_lost_is_not_taken_for_a_lost_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = StepRun.finish, []

    def finish(self: StepRun, *args: Any, **more: Any) -> bool:
        calls.append(self.step_id)
        if len(calls) == 1:
            # The write arrived, and its answer did not.
            real(self, *args, **more)
            raise OperationalError("server closed the connection unexpectedly")
        return real(self, *args, **more)

    monkeypatch.setattr(StepRun, "finish", finish)
    monkeypatch.setattr(JournalConnection, "_is_transient", lambda self, error: True)
    assert run(tmp_path, "steps: [noop]").exit_code == 0
    assert row("noop").status == "succeeded"
    assert len(calls) == 2


def test_a_run_that_was_taken_over_stops(tmp_path: Path) -> None:
    text = "steps:\n  - {id: one, command: take_over}\n  - effect two --log log\n"
    told = run(tmp_path, text)
    assert told.exit_code == 1
    assert "another process has taken the run over" in told.errors + str(told.events[-1])
    assert effects(tmp_path) == []


def test_rows_that_are_gone_stop_the_run(tmp_path: Path) -> None:
    told = run(tmp_path, "steps:\n  - {id: one, command: take_over --wipe}\n  - effect two --log log\n")
    assert told.exit_code == 1
    assert "journal lost" in told.errors + str(told.events[-1])
    assert effects(tmp_path) == []


# -- signals ---------------------------------------------------------------------------------------------------------------


@pytest.fixture
def received() -> Any:
    told: list[tuple[str, str, object]] = []

    def on_started(run_id: str, event: Any, **more: object) -> None:
        told.append(("started", run_id, event.name))

    def on_step(run_id: str, result: Any, **more: object) -> None:
        told.append(("step", run_id, result.step_id))

    def on_finished(run_id: str, result: Any, **more: object) -> None:
        told.append(("finished", run_id, result.status))

    pairs: list[tuple[Signal, Any]] = [
        (signals.run_started, on_started),
        (signals.step_finished, on_step),
        (signals.run_finished, on_finished),
    ]
    for signal, receiver in pairs:
        signal.connect(receiver)
    yield told
    for signal, receiver in pairs:
        signal.disconnect(receiver)


def test_a_project_hears_of_a_run(tmp_path: Path, received: list[tuple[str, str, object]]) -> None:
    run(tmp_path, "name: Nightly\nsteps: [noop]\n")
    run_id = Run.objects.get().pk
    assert received == [("started", run_id, "Nightly"), ("step", run_id, "noop"), ("finished", run_id, "succeeded")]


def test_a_receiver_that_raises_is_told_of_and_ends_nothing(tmp_path: Path) -> None:
    def break_down(**more: object) -> None:
        raise ValueError("the receiver is broken")

    signals.step_finished.connect(break_down)
    try:
        told = run(tmp_path, "steps: [noop, {id: two, command: noop}]")
    finally:
        signals.step_finished.disconnect(break_down)
    assert (told.exit_code, told.status) == (0, "succeeded")
    assert told.errors.count("ValueError: the receiver is broken") == 2


@pytest.mark.django_db(transaction=True)
def test_a_batch_command_in_a_group_that_is_tried_again_works_again(tmp_path: Path) -> None:
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


def test_a_file_may_say_that_its_runs_are_not_recorded(tmp_path: Path) -> None:
    told = run(tmp_path, "journal: false\nsteps: [noop, fail]")
    assert not Run.objects.exists()
    ended = told.events[-1]["result"]
    assert ended["advice"].endswith("failed; it is not recorded: to continue, run the file again")
    assert ended["resume_command"] == ""


def test_a_recorded_run_that_failed_and_its_resumption_name_each_other(tmp_path: Path) -> None:
    text = "steps: [noop, fail]"
    told = run(tmp_path, text)
    run_id = Run.objects.get().pk[:8]
    line = f"python manage.py run_runbook {tmp_path / 'test.yml'} --resume {run_id}"
    assert told.events[-1]["result"]["resume_command"] == line
    again = run(tmp_path, text, resume="")
    assert (again.events[0]["attempt"], again.events[0]["done_count"]) == (2, 1)
    assert again.events[-1]["result"]["advice"] == f"run {run_id} failed; resume with: {line}"
