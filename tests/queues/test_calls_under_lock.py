"""A lock is taken while a worker runs a call of a run that died under it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_runbook.calls import Call, CallStatus, worker_lock_name
from django_runbook.models import StepRun
from django_runbook.queues import calls_under_lock
from tests.journal.support import die, resume
from tests.queues.calls_data import worker_lock
from tests.resume.support import held
from tests.runner.support import run

pytestmark = pytest.mark.django_db
TEXT = "lock: nightly\nsteps: [{id: one, command: effect one --log log}]\n"
OTHER = "lock: nightly\nsteps: [{id: two, command: effect two --log log}]\n"


@pytest.fixture(autouse=True)
def probes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.chdir(tmp_path)
    settings.RUNBOOK = {**settings.RUNBOOK, "JOURNAL": True}
    monkeypatch.setattr(calls_under_lock, "_BETWEEN_PROBES_SECONDS", 0)


def left_call(status: CallStatus, *, lock_names: list[str], worker: str = "w1") -> Call:
    """Leave the newest run dead, with a call of its step on a worker."""
    dead = die("one")
    row = StepRun.objects.get(run=dead, step_id="one")
    return Call.objects.create(
        id="c1",
        run=dead,
        step_id="one",
        attempt=row.attempt,
        status=status.value,
        engine="own",
        queue="q",
        command="effect",
        host="worker1",
        pid=77,
        worker=worker if status is CallStatus.RUNNING else "",
        claim="abc" if status is CallStatus.RUNNING else "",
        lock_names=lock_names,
    )


@pytest.fixture
def worker_lives() -> Iterator[None]:
    with held(worker_lock_name("w1")):
        yield


@pytest.mark.usefixtures("worker_lives")
@pytest.mark.parametrize(("on_conflict", "status", "exit_code"), [("fail", "refused", 75), ("skip", "refused", 0)])
def test_a_running_call_holds_the_locks_around_it(
    tmp_path: Path, on_conflict: str, status: str, exit_code: int
) -> None:
    run(tmp_path, TEXT)
    call = left_call(CallStatus.RUNNING, lock_names=["other", "nightly"])
    text = OTHER.replace("nightly", f"{{name: nightly, on_conflict: {on_conflict}}}")
    ended = run(tmp_path, text)
    assert (ended.status, ended.exit_code) == (status, exit_code)
    reason = ended.events[-1]["result"]["reason"]
    assert reason == f'the lock "nightly" is held by a call of run {call.run_id[:8]}, process 77 on worker1'
    call.refresh_from_db()
    assert call.status == CallStatus.RUNNING
    with held("nightly"):
        # The refused run did not keep it.
        pass


@pytest.mark.usefixtures("worker_lives")
def test_a_call_under_another_lock_holds_nothing(tmp_path: Path) -> None:
    run(tmp_path, TEXT)
    left_call(CallStatus.RUNNING, lock_names=["other"])
    assert run(tmp_path, OTHER).exit_code == 0


@pytest.mark.usefixtures("worker_lives")
def test_a_step_waits_for_the_call_that_holds_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, TEXT)
    call = left_call(CallStatus.RUNNING, lock_names=["nightly"])
    seen: list[Any] = []
    find = calls_under_lock.CallsUnderLock.holder_of

    def finds(self: calls_under_lock.CallsUnderLock, name: str) -> Any:
        seen.append(find(self, name))
        if seen[-1] is not None:
            call.finish({}, using="default")
        return seen[-1]

    monkeypatch.setattr(calls_under_lock.CallsUnderLock, "holder_of", finds)
    ended = run(tmp_path, "steps: [{command: noop, lock: {name: nightly, on_conflict: wait}}]")
    assert ended.exit_code == 0
    # The first lock is that of the file.
    assert [one is None for one in seen] == [True, False, True]
    waited = [event for event in ended.events if event["event"] == "lock_awaited"]
    assert [event["holder"] for event in waited] == [str(seen[1])]


def test_a_call_whose_worker_died_holds_nothing_and_is_dead(tmp_path: Path) -> None:
    run(tmp_path, TEXT)
    call = left_call(CallStatus.RUNNING, lock_names=["nightly"])
    worker_lock("w1")
    assert run(tmp_path, OTHER).exit_code == 0
    call.refresh_from_db()
    assert call.status == CallStatus.DEAD


def test_a_queued_call_is_cancelled_and_its_step_is_not_in_doubt(tmp_path: Path) -> None:
    run(tmp_path, TEXT)
    call = left_call(CallStatus.QUEUED, lock_names=["nightly"])
    assert run(tmp_path, OTHER).exit_code == 0
    call.refresh_from_db()
    assert call.status == CallStatus.CANCELLED
    assert resume(tmp_path, TEXT, resume=call.run_id).exit_code == 0
    assert (tmp_path / "log").read_text().count("begin one") == 2


def test_a_call_that_a_resumed_run_continues_does_not_hold_its_locks(tmp_path: Path) -> None:
    run(tmp_path, TEXT)
    call = left_call(CallStatus.DEAD, lock_names=["nightly"])
    Call.objects.filter(pk=call.pk).update(status=CallStatus.RUNNING.value)
    assert calls_under_lock._take_queued("nightly", continued=[call.pk], using="default") == []
    assert len(calls_under_lock._take_queued("nightly", continued=["x"], using="default")) == 1


WITH_HANDLER = "lock: nightly\nsteps: [{id: one, command: effect one --log log}]\nfinally: [{id: tidy, command: effect tidy --log log}]\n"


def left_handler_call(tmp_path: Path, status: CallStatus) -> Call:
    """Leave the newest run dead, with a call of its handler on a worker: handlers run again when a run is resumed."""
    run(tmp_path, WITH_HANDLER)
    call = left_call(status, lock_names=["nightly"])
    StepRun.objects.filter(run=call.run_id, step_id="one").update(status="not_run")
    StepRun.objects.create(run=call.run, step_id="tidy", name="tidy", kind="command", role="finally", status="running")
    Call.objects.filter(pk=call.pk).update(step_id="tidy")
    return call


def test_the_queued_call_of_a_handler_is_cancelled_when_its_run_is_resumed(tmp_path: Path) -> None:
    call = left_handler_call(tmp_path, CallStatus.QUEUED)
    assert resume(tmp_path, WITH_HANDLER).exit_code == 0
    call.refresh_from_db()
    assert call.status == CallStatus.CANCELLED


@pytest.mark.usefixtures("worker_lives")
def test_a_run_is_not_resumed_while_a_worker_runs_its_handler(tmp_path: Path) -> None:
    call = left_handler_call(tmp_path, CallStatus.RUNNING)
    ended = resume(tmp_path, WITH_HANDLER)
    assert ended.exit_code == 75
    assert f"held by a call of run {call.run_id[:8]}" in ended.events[-1]["result"]["reason"]
    call.finish({}, using="default")
    assert resume(tmp_path, WITH_HANDLER).exit_code == 0


def test_a_cancelled_call_with_no_log_keeps_no_arguments(tmp_path: Path) -> None:
    run(tmp_path, TEXT)
    call = left_call(CallStatus.QUEUED, lock_names=["nightly"])
    for is_hidden, tokens in ((True, []), (False, ["one"])):
        Call.objects.filter(pk=call.pk).update(is_hidden=is_hidden, tokens=["one"], status=CallStatus.QUEUED.value)
        assert calls_under_lock._take_queued("nightly", continued=[], using="default") == []
        call.refresh_from_db()
        assert (call.status, call.tokens) == (CallStatus.CANCELLED, tokens)
