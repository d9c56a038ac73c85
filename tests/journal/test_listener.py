"""Tests the row of a run: its lock, its attempts, and when a run is not recorded."""

from __future__ import annotations

import datetime
import functools
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.core.management import call_command

from django_runbook import conf
from django_runbook.exceptions import LockLost
from django_runbook.journal.listener import Journal
from django_runbook.locks.base import LockState
from django_runbook.locks.factory import new_factory
from django_runbook.locks.file import FileLock
from django_runbook.locks.held import HeldLock
from django_runbook.models import Run, StepRun
from tests.journal.support import effects, resume
from tests.runner.support import run

pytestmark = pytest.mark.django_db


def test_durations_are_measured_by_a_monotonic_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    hours = iter(range(10**6))
    now = datetime.datetime.now(datetime.UTC)

    def set_back(zone: datetime.tzinfo) -> datetime.datetime:
        return (now - datetime.timedelta(hours=next(hours))).astimezone(zone)

    text = """\
steps:
  - {id: slow, command: effect slow --log log --pause 0.05}
  - {id: tried, command: effect tried --log log --fail-until 3, retry: {attempts: 3, delay: 0.05s, backoff: 1, jitter: false}}
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
    assert 0.05 <= took["slow"] < 5
    # The duration includes the retries and their delays.
    assert 0.1 <= took["tried"] < 5
    assert took["slow"] + took["tried"] <= (recorded.took_seconds or 0.0) < 10
    for step in StepRun.objects.filter(attempt__lt=3, step_id="tried"):
        assert step.took_seconds is not None
        assert step.took_seconds >= 0
    call_command("show_runs")
    call_command("show_runs", "--run", recorded.pk)
    assert "-" not in "".join(re.findall(r"[-\d.]+s\b", capsys.readouterr().out))


def test_the_duration_of_a_resumed_run_is_that_of_its_last_attempt(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    run(tmp_path, "steps: [{id: one, command: effect one --log log --pause 0.05 --fail-if broken}, noop]")
    first = Run.objects.get()
    assert first.duration_seconds is not None
    assert first.duration_seconds >= 0.05
    (tmp_path / "broken").unlink()
    resume(tmp_path)
    second = Run.objects.get()
    assert second.duration_seconds is not None
    assert 0.05 <= second.duration_seconds < 10
    assert second.duration_seconds != first.duration_seconds
    noop = StepRun.objects.get(step_id="noop", run_attempt=1)
    # The step was not called.
    assert (noop.duration_seconds, noop.took_seconds) == (None, None)


@pytest.mark.parametrize(
    ("kept", "status", "said"),
    [
        (LockState.RETAKEN, "succeeded", "run {id}"),
        (LockState.LOST, "failed", 'the lock "run {id}" was lost, so another process may resume the run'),
    ],
)
def test_the_lock_of_the_run_is_acquired_again_or_ends_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: LockState, status: str, said: str
) -> None:
    keep = FileLock.keep
    monkeypatch.setattr("django_runbook.locks.watching.INTERVAL_SECONDS", 0.01)

    def keep_or_lose(lock: FileLock) -> LockState:
        # Not before the first step has begun: a run that ran nothing ends in another way.
        return kept if lock.name.startswith("run ") and (tmp_path / "first").exists() else keep(lock)

    def note(held: HeldLock, noticed: Callable[[HeldLock], None]) -> None:
        noticed(held)
        # The first step waits for it.
        (tmp_path / "kept").touch()

    for name in ("_report", "_note_loss"):
        monkeypatch.setattr(HeldLock, name, functools.partialmethod(note, getattr(HeldLock, name)))
    monkeypatch.setattr(FileLock, "keep", keep_or_lose)
    first = f"effect one --log {tmp_path / 'first'} --until {tmp_path / 'kept'}"
    ended = run(tmp_path, f"steps: [{first}, {{id: two, command: effect two --log log}}]")
    recorded = Run.objects.get()
    assert ended.status == status
    # The exit code 75 is only for runs that ran nothing.
    assert ended.exit_code == (0 if status == "succeeded" else 1)
    retaken = [event["name"] for event in ended.events if event["event"] == "lock_retaken"]
    assert said.format(id=recorded.pk) in [*retaken, ended.events[-1]["result"]["reason"]]
    assert recorded.status == status
    if status == "failed":
        assert effects(tmp_path) == []
        assert said.format(id=recorded.pk) in recorded.reason
        monkeypatch.setattr(FileLock, "keep", keep)
        assert (resume(tmp_path).exit_code, effects(tmp_path)) == (0, ["two"])


def test_a_run_records_its_lock_backend(tmp_path: Path) -> None:
    run(tmp_path, "steps: [noop]")
    assert Run.objects.get().lock_backend == new_factory(conf.read(), what="a test").identity != ""


def test_a_resumed_run_keeps_its_row(tmp_path: Path) -> None:
    (tmp_path / "broken").touch()
    run(
        tmp_path,
        "steps:\n  - {id: one, command: effect one --log log}\n  - {id: two, command: effect two --log log --fail-if broken}\n",
    )
    before = Run.objects.get()
    (tmp_path / "broken").unlink()
    ended = resume(tmp_path)
    after = Run.objects.get()
    assert (after.pk, after.status, after.attempt_count, after.now) == (before.pk, "succeeded", 2, before.now)
    assert after.owner != before.owner
    assert ended.result("one")["is_past"]
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
    assert "--resume needs the run history" in resume(tmp_path).errors


def test_a_run_whose_lock_is_lost_before_its_first_step_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(journal: Journal) -> None:
        raise LockLost("the lock was lost")

    monkeypatch.setattr(Journal, "wait", lose)
    ended = run(tmp_path, "steps: [{id: one, command: say one}]")
    assert (ended.status, ended.exit_code, ended.statuses) == ("failed", 1, {"one": "not_run"})
    recorded = Run.objects.get()
    assert (recorded.status, recorded.exit_code) == ("failed", 1)
    assert "was lost" in recorded.reason


def test_a_run_taken_over_by_another_process_stops(tmp_path: Path) -> None:
    text = "steps:\n  - {id: one, command: take_over}\n  - effect two --log log\n"
    ended = run(tmp_path, text)
    assert ended.exit_code == 1
    assert "another process has taken the run over" in ended.errors + str(ended.events[-1])
    assert effects(tmp_path) == []


def test_deleted_rows_stop_the_run(tmp_path: Path) -> None:
    ended = run(tmp_path, "steps:\n  - {id: one, command: take_over --wipe}\n  - effect two --log log\n")
    assert ended.exit_code == 1
    assert "journal lost" in ended.errors + str(ended.events[-1])
    assert effects(tmp_path) == []


def test_a_file_can_turn_the_journal_off(tmp_path: Path) -> None:
    ended = run(tmp_path, "journal: false\nsteps: [noop, fail]")
    assert not Run.objects.exists()
    result = ended.events[-1]["result"]
    assert result["advice"].endswith("failed; it is not recorded: to continue, run the file again")
    assert result["resume_command"] == ""


def test_a_failed_run_names_the_command_that_resumes_it(tmp_path: Path) -> None:
    text = "steps: [noop, fail]"
    ended = run(tmp_path, text)
    run_id = Run.objects.get().pk[:8]
    line = f"python manage.py run_runbook {tmp_path / 'test.yml'} --resume {run_id}"
    assert ended.events[-1]["result"]["resume_command"] == line
    again = run(tmp_path, text, resume="")
    assert (again.events[0]["attempt"], again.events[0]["done_count"]) == (2, 1)
    assert again.events[-1]["result"]["advice"] == f"run {run_id} failed; resume with: {line}"
