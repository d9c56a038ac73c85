"""A lock is taken while a worker runs a call of a run that died under it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection

from django_runbook import conf
from django_runbook.locks.factory import new_factory
from django_runbook.models import Run, StepRun
from django_runbook.models.calls import NO_CONTENT, Call, CallStatus, worker_lock_name
from django_runbook.process.stopping import Stop
from django_runbook.queues import call_ending, calls_under_lock
from django_runbook.queues.call_ending import CallEnding
from tests.journal.support import die, resume
from tests.queues.calls_data import worker_lock
from tests.resume.support import held
from tests.runner.support import run

pytestmark = pytest.mark.django_db
TEXT = "lock: nightly\nsteps: [{id: one, command: effect one --log log}]\n"
BETWEEN = 0.125
OTHER = "lock: nightly\nsteps: [{id: two, command: effect two --log log}]\n"


@pytest.fixture(autouse=True)
def probes_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    monkeypatch.chdir(tmp_path)
    settings.RUNBOOK = {**settings.RUNBOOK, "JOURNAL": True}
    monkeypatch.setattr(call_ending, "_BETWEEN_PROBES_SECONDS", 0)


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
    monkeypatch.setattr("django_runbook.locks.waiting._POLL_SECONDS", 0.01)
    run(tmp_path, TEXT)
    call = left_call(CallStatus.RUNNING, lock_names=["nightly"])
    seen: list[Any] = []
    find = calls_under_lock.holder_under_lock

    def finds(name: str, ending: CallEnding) -> Any:
        seen.append(find(name, ending))
        if seen[-1] is not None:
            call.finish({}, using="default")
        return seen[-1]

    monkeypatch.setattr(calls_under_lock, "holder_under_lock", finds)
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


@pytest.mark.usefixtures("worker_lives")
def test_the_calls_of_a_run_do_not_hold_its_own_locks(tmp_path: Path) -> None:
    run(tmp_path, TEXT)
    call = left_call(CallStatus.RUNNING, lock_names=["nightly"])
    for run_id, is_held in ((call.run_id, False), ("another", True)):
        journal: Any = SimpleNamespace(run_id=run_id, ask=lambda question: question("default"))
        ending = CallEnding(
            journal=journal, new_lock=new_factory(conf.read(), what="a test"), rest=lambda seconds: False
        )
        assert (calls_under_lock.holder_under_lock("nightly", ending) is not None) is is_held


def test_a_call_that_its_worker_returns_while_it_dies_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(tmp_path, TEXT)
    call = left_call(CallStatus.RUNNING, lock_names=["nightly"])
    worker_lock("w1")
    mark = Call.mark_dead

    def released_first(self: Call, *, using: str) -> bool:
        call.release(NO_CONTENT, using=using)
        return mark(self, using=using)

    monkeypatch.setattr(Call, "mark_dead", released_first)
    assert run(tmp_path, OTHER).exit_code == 0
    call.refresh_from_db()
    assert call.status == CallStatus.CANCELLED


def test_the_workers_of_several_calls_are_probed_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, TEXT)
    call = left_call(CallStatus.RUNNING, lock_names=["nightly"])
    Call.objects.create(
        **{**Call.objects.filter(pk=call.pk).values()[0], "id": "c2", "step_id": "other", "worker": "w2"}
    )
    for worker in ("w1", "w2"):
        worker_lock(worker)
    rested: list[float] = []
    wait = Stop.wait

    def waits(self: Stop, seconds: float) -> bool:
        if seconds == BETWEEN:
            rested.append(seconds)
        return wait(self, 0)

    monkeypatch.setattr(call_ending, "_BETWEEN_PROBES_SECONDS", BETWEEN)
    monkeypatch.setattr(Stop, "wait", waits)
    assert run(tmp_path, OTHER).exit_code == 0
    assert rested == [BETWEEN]


def test_a_cancelled_call_with_no_log_keeps_no_arguments(tmp_path: Path) -> None:
    run(tmp_path, TEXT)
    call = left_call(CallStatus.QUEUED, lock_names=["nightly"])
    for is_hidden, tokens in ((True, []), (False, ["one"])):
        Call.objects.filter(pk=call.pk).update(is_hidden=is_hidden, tokens=["one"], status=CallStatus.QUEUED.value)
        assert call_ending.take_queued(lambda calls: calls, using="default") == []
        call.refresh_from_db()
        assert (call.status, call.tokens) == (CallStatus.CANCELLED, tokens)


def test_a_run_that_is_about_to_migrate_the_table_of_calls_acquires_its_lock(tmp_path: Path) -> None:
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE django_runbook_call RENAME COLUMN lock_names TO later")
    try:
        assert run(tmp_path, OTHER).exit_code == 0
        assert Run.objects.get().status == "succeeded"
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE django_runbook_call RENAME COLUMN later TO lock_names")
