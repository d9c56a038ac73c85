"""Tests which run is resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from django_runbook import conf
from django_runbook.locks import factory
from django_runbook.models import Run, StepRun
from django_runbook.resume import resumed_run
from tests.journal.support import effects, resume
from tests.resume.support import LOCKED, TWO, fail_now, fix, held, refuse
from tests.runner.support import run

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    "text", ["steps: [noop]", "steps: [{command: fail, continue_on_error: true}]"], ids=["succeeded", "warning"]
)
def test_a_finished_run_is_refused(tmp_path: Path, text: str) -> None:
    run(tmp_path, text)
    ended = resume(tmp_path)
    assert ended.exit_code == 2
    assert "cannot be resumed" in ended.errors
    assert Run.objects.get().attempt_count == 1


def test_older_unfinished_runs_are_named(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(tmp_path, TWO)
    older = Run.objects.get()
    fix(tmp_path)
    run(tmp_path, TWO)
    ended = resume(tmp_path)
    assert ended.exit_code == 2
    assert f"--resume {older.pk}" in ended.errors
    assert resume(tmp_path, resume=older.pk[:10]).exit_code == 0
    assert effects(tmp_path) == ["one", "two", "one", "two", "two"]


@pytest.mark.parametrize("on_conflict", ["fail", "skip"])
def test_a_refused_run_is_recorded_and_never_resumed(tmp_path: Path, on_conflict: str) -> None:
    fail_now(tmp_path)
    run(tmp_path, LOCKED)
    older = Run.objects.get()
    fix(tmp_path)
    refused = refuse(tmp_path, on_conflict=on_conflict)
    assert (refused.status, refused.attempt_count) == ("refused", 1)
    assert refused.reason.startswith('the lock "theirs" is held by the other one, process ')
    ended = resume(tmp_path, LOCKED, resume=refused.pk)
    assert ended.exit_code == 2
    assert f"run {refused.pk} was refused before any step began: start a new run, without --resume" in ended.errors
    assert resume(tmp_path, LOCKED).exit_code == 0
    assert effects(tmp_path) == ["one", "two", "two"]
    assert [row.status for row in Run.objects.newest_first()] == ["refused", "succeeded"]
    older.refresh_from_db()
    assert older.attempt_count == 2


def test_a_run_without_begun_steps_is_not_resumed(tmp_path: Path) -> None:
    refused = refuse(tmp_path)
    ended = resume(tmp_path, LOCKED)
    assert ended.exit_code == 2
    assert f"the newest run, {refused.pk}, was refused; start a new run, without --resume" in ended.errors
    Run.objects.update(status="interrupted")
    ended = resume(tmp_path, LOCKED)
    assert f"the newest run, {refused.pk}, had not begun; start a new run" in ended.errors


def stop_before_the_first_step(directory: Path) -> None:
    """Leave the rows of a run that was stopped while it waited for its lock, or before its first step."""
    row = refuse(directory)
    Run.objects.filter(pk=row.pk).update(status="interrupted", exit_code=143, reason="the run was stopped")


def stop_with_finally(directory: Path) -> None:
    stop_before_the_first_step(directory)
    row = Run.objects.newest_first()[0]
    StepRun.objects.create(
        run=row, step_id="last", role="finally", kind="command", status="succeeded", started_at=row.started_at
    )


def stop_in_a_group(directory: Path) -> None:
    stop_before_the_first_step(directory)
    row = Run.objects.newest_first()[0]
    for status in ("interrupted", "skipped", "not_run"):
        StepRun.objects.create(
            run=row, step_id=status, role="step", kind="group", status=status, started_at=row.started_at
        )


def die_before_the_first_step(directory: Path) -> None:
    row = refuse(directory)
    StepRun.objects.filter(run=row).delete()
    Run.objects.filter(pk=row.pk).update(status="running", exit_code=None, finished_at=None, reason="")
    with held(row.lock_name):
        """Acquire and release the lock, as a process that dies."""


def fail_without_locks(directory: Path) -> None:
    lock = factory.new_factory(conf.read(), what="")("theirs")
    path: Path = getattr(lock, "path")  # noqa: B009 - only the file backend has it
    path.unlink()
    path.mkdir()
    try:
        assert run(directory, LOCKED).exit_code == 1
    finally:
        path.rmdir()


@pytest.mark.parametrize(
    "end",
    [
        stop_before_the_first_step,
        stop_with_finally,
        stop_in_a_group,
        die_before_the_first_step,
        fail_without_locks,
    ],
    ids=lambda end: end.__name__,
)
def test_a_run_that_ended_before_its_first_step_does_not_hide_an_older_run(
    tmp_path: Path, end: Callable[[Path], None]
) -> None:
    fail_now(tmp_path)
    run(tmp_path, LOCKED)
    older = Run.objects.get()
    end(tmp_path)
    fix(tmp_path)
    newer = Run.objects.newest_first()[0]
    assert newer != older
    ended = resume(tmp_path, LOCKED, resume=newer.pk)
    assert ended.exit_code == 2
    assert f"run {newer.pk} ended before any step began: start a new run" in ended.errors
    assert resume(tmp_path, LOCKED).exit_code == 0
    older.refresh_from_db()
    assert (older.status, older.attempt_count) == ("succeeded", 2)
    assert effects(tmp_path) == ["one", "two", "two"]


@pytest.mark.parametrize("status", ["succeeded", "failed", "timed_out"])
def test_a_run_with_an_ended_step_had_begun(tmp_path: Path, status: str) -> None:
    row = refuse(tmp_path)
    Run.objects.update(status="failed")
    for other in ("skipped", "not_run", "interrupted"):
        StepRun.objects.create(run=row, step_id=other, role="step", kind="command", status=other)
    assert not Run.objects.begun().exists()
    StepRun.objects.create(run=row, step_id="x", role="step", kind="command", status=status)
    assert Run.objects.begun().get() == row


@pytest.mark.parametrize("status", ["running", "interrupted"])
def test_a_run_with_a_called_command_had_begun(tmp_path: Path, status: str) -> None:
    row = refuse(tmp_path)
    step = {"step_id": "x", "role": "step", "kind": "command", "started_at": row.started_at}
    StepRun.objects.create(run=row, status=status, **step)
    assert Run.objects.begun().get() == row


def test_only_begun_runs_are_named_as_unfinished(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(tmp_path, LOCKED)
    older = Run.objects.get()
    stop_before_the_first_step(tmp_path)
    stopped = Run.objects.newest_first()[0]
    fix(tmp_path)
    run(tmp_path, LOCKED)
    ended = resume(tmp_path, LOCKED)
    assert ended.exit_code == 2
    assert f"cannot be resumed; older unfinished runs: --resume {older.pk}" in ended.errors
    assert stopped.pk not in ended.errors


def test_a_run_that_waits_for_its_lock_does_not_hide_an_older_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resumed_run, "_PROBE_SECONDS", 0.02)
    fail_now(tmp_path)
    run(tmp_path, LOCKED)
    fix(tmp_path)
    die_before_the_first_step(tmp_path)
    waiting = Run.objects.newest_first()[0]
    with held(waiting.lock_name):
        assert resume(tmp_path, LOCKED, resume=waiting.pk).exit_code == 75
        assert resume(tmp_path, LOCKED).exit_code == 0
    assert effects(tmp_path) == ["one", "two", "two"]


def test_there_must_be_a_run(tmp_path: Path) -> None:
    assert "no run of" in resume(tmp_path, TWO).errors
    assert "no run has an id that begins with 123" in resume(tmp_path, TWO, resume="123").errors


def test_a_run_of_another_runbook_is_refused(tmp_path: Path) -> None:
    fail_now(tmp_path)
    run(tmp_path, TWO)
    (tmp_path / "other").mkdir()
    ended = resume(tmp_path / "other", TWO, resume=Run.objects.get().pk)
    assert ended.exit_code == 2
    assert "test.yml, not to" in ended.errors
