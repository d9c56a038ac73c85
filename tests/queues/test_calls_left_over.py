"""A resumed run ends the calls of its earlier attempt that none of its steps continues."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from django_runbook.models import StepRun
from django_runbook.models.calls import Call, CallStatus, worker_lock_name
from django_runbook.process.stopping import Stop
from django_runbook.queues import call_ending, calls_left_over
from tests.journal.support import die, resume
from tests.queues.calls_data import add_call, worker_lock
from tests.resume.support import held
from tests.runner.support import run

pytestmark = pytest.mark.django_db
TEXT = """
steps: [{id: one, command: effect one --log log}]
finally: [{id: last, command: effect last --log log}]
"""


@pytest.fixture(autouse=True)
def polls_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.chdir(tmp_path)
    settings.RUNBOOK = {**settings.RUNBOOK, "JOURNAL": True}
    monkeypatch.setattr(call_ending, "_BETWEEN_PROBES_SECONDS", 0)
    monkeypatch.setattr(calls_left_over, "_POLL_SECONDS", 0.01)


def left_call(step_id: str, status: CallStatus) -> Call:
    """Leave the newest run dead, with a call of this step on a worker."""
    dead = die(step_id)
    row = StepRun.objects.get(run=dead, step_id=step_id)
    return add_call(dead, step_id, attempt=row.attempt, status=status.value)


def test_the_queued_call_of_a_handler_is_cancelled_because_the_handler_runs_again(tmp_path: Path) -> None:
    run(tmp_path, TEXT)
    call = left_call("last", CallStatus.QUEUED)
    assert resume(tmp_path).exit_code == 0
    call.refresh_from_db()
    assert call.status == CallStatus.CANCELLED
    assert (tmp_path / "log").read_text().count("begin last") == 2


def test_a_resumed_run_waits_for_the_running_call_of_a_handler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, TEXT)
    call = left_call("last", CallStatus.RUNNING)
    counts: list[int] = []
    wait = Stop.wait

    def waits(self: Stop, seconds: float) -> bool:
        counts.append((tmp_path / "log").read_text().count("begin last"))
        if len(counts) == 3:
            call.finish({}, using="default")
        return wait(self, seconds)

    monkeypatch.setattr(Stop, "wait", waits)
    with held(worker_lock_name("w")):
        ended = resume(tmp_path)
    assert ended.exit_code == 0
    assert counts[:3] == [1, 1, 1]
    assert (tmp_path / "log").read_text().count("begin last") == 2
    warning = f'waiting: step "last" still runs on a worker: a call of run {call.run_id[:8]}, process 7 on desk-2'
    assert ended.errors.count(warning) == 1


def test_a_stop_ends_the_wait_and_the_run_can_still_be_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, TEXT)
    call = left_call("last", CallStatus.RUNNING)
    monkeypatch.setattr(Stop, "wait", lambda self, seconds: True)
    with held(worker_lock_name("w")):
        assert resume(tmp_path).exit_code == 75
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    call.finish({}, using="default")
    assert resume(tmp_path).exit_code == 0


def test_the_call_of_a_handler_whose_worker_died_is_not_waited_for(tmp_path: Path) -> None:
    run(tmp_path, TEXT)
    call = left_call("last", CallStatus.RUNNING)
    worker_lock("w")
    assert resume(tmp_path).exit_code == 0
    call.refresh_from_db()
    assert call.status == CallStatus.DEAD


def test_the_queued_call_of_a_step_that_is_marked_as_done_is_cancelled(tmp_path: Path) -> None:
    run(tmp_path, TEXT)
    call = left_call("one", CallStatus.QUEUED)
    assert resume(tmp_path, skip=("one",)).exit_code == 0
    call.refresh_from_db()
    assert call.status == CallStatus.CANCELLED
    assert (tmp_path / "log").read_text().count("begin one") == 1


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("one, command: effect one --log log, for_each: [1]", "one, command: effect one --log log"),
        ("one, command: effect one --log log, for_each: [1]", "two, command: effect two --log log"),
        ("one, command: effect one --log log", "one, command: effect one --log log, for_each: [1]"),
        ("one, command: effect one --log log", "one, steps: [effect two --log log]"),
    ],
)
def test_the_queued_call_of_a_step_that_the_runbook_no_longer_has_is_cancelled(
    tmp_path: Path, before: str, now: str
) -> None:
    run(tmp_path, f"steps: [{{id: {before}}}]")
    row = StepRun.objects.get(kind="command")
    call = left_call(row.step_id, CallStatus.QUEUED)
    assert resume(tmp_path, f"steps: [{{id: {now}}}]", accept_changes=True).exit_code == 0
    call.refresh_from_db()
    assert call.status == CallStatus.CANCELLED
