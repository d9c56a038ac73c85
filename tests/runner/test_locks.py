"""``lock``: who may run, who waits and who leaves, and that no lock outlives its run."""

from __future__ import annotations

import datetime
import signal
import threading
from pathlib import Path

import pytest

from django_runbook import conf
from django_runbook.locks import factory
from django_runbook.locks.base import Holder, Lock
from django_runbook.runner.locking import Locker
from django_runbook.runner.telling import Teller
from tests.runner.support import run, start, wait_for


def lock_of(name: str) -> Lock:
    return factory.new_factory(conf.read(), what="a test")(name)


@pytest.fixture
def name(tmp_path: Path) -> str:
    return f"test lock {tmp_path}"


def test_a_held_lock_ends_the_run_before_anything_runs_and_names_the_holder(tmp_path: Path, name: str) -> None:
    lock = lock_of(name)
    assert lock.acquire() is None
    try:
        told = run(tmp_path, f"lock: {name}\nsteps: [noop]\nfinally: [noop]")
    finally:
        lock.release()
    assert (told.status, told.exit_code) == ("failed", 75)
    assert told.statuses == {"noop": "not_run", "noop-2": "not_run"}
    reason = told.events[-1]["result"]["reason"]
    assert f'the lock "{name}" is held by a test, process ' in reason
    assert ", since 2" in reason


def test_the_lock_of_a_file_is_on_by_default_and_named_after_the_runbook(tmp_path: Path, name: str) -> None:
    lock = lock_of(name)
    assert lock.acquire() is None
    try:
        assert run(tmp_path, f"name: {name}\nsteps: [noop]").exit_code == 75
        assert run(tmp_path, f"name: {name}\nlock: false\nsteps: [noop]").exit_code == 0
        assert run(tmp_path, f"name: {name}\nlock: {name} too\nsteps: [noop]").exit_code == 0
        assert run(tmp_path, f"name: {name}\nsteps: [makemigrations]", dry_run=True, list=True).exit_code == 0
    finally:
        lock.release()
    assert run(tmp_path, f"name: {name}\nsteps: [noop]").exit_code == 0


def test_skip_ends_the_run_well(tmp_path: Path, name: str) -> None:
    lock = lock_of(name)
    assert lock.acquire() is None
    try:
        told = run(tmp_path, f"lock: {{name: {name}, on_conflict: skip}}\nsteps: [noop]")
    finally:
        lock.release()
    assert (told.status, told.exit_code, told.statuses) == ("succeeded", 0, {"noop": "skipped"})
    assert "is held by" in told.result("noop")["reason"]


def test_wait_goes_on_when_the_lock_is_free(tmp_path: Path, name: str) -> None:
    lock = lock_of(name)
    assert lock.acquire() is None
    timer = threading.Timer(0.5, lock.release)
    timer.start()
    told = run(tmp_path, f"lock: {{name: {name}, on_conflict: wait}}\nsteps: [noop]")
    timer.join()
    assert told.exit_code == 0
    awaited = next(event for event in told.events if event["event"] == "lock_awaited")
    assert (awaited["name"], awaited["step_id"]) == (name, "")
    assert "a test" in awaited["holder"]


def test_wait_ends_after_its_time(tmp_path: Path, name: str) -> None:
    lock = lock_of(name)
    assert lock.acquire() is None
    try:
        told = run(tmp_path, f"lock: {{name: {name}, on_conflict: wait, wait: 1s}}\nsteps: [noop]")
    finally:
        lock.release()
    assert told.exit_code == 75


def test_a_stop_ends_the_waiting(tmp_path: Path, name: str) -> None:
    lock = lock_of(name)
    assert lock.acquire() is None
    process = start(tmp_path, f"lock: {{name: {name}, on_conflict: wait}}\nsteps: [noop]", "--format", "jsonl")
    try:
        assert process.stdout is not None
        while "lock_awaited" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20)
    finally:
        lock.release()
        process.kill()
        process.communicate()
    assert process.returncode == 143


@pytest.mark.parametrize(("on_conflict", "status"), [("fail", "failed"), ("skip", "skipped")])
def test_the_lock_of_a_step(tmp_path: Path, name: str, on_conflict: str, status: str) -> None:
    lock = lock_of(name)
    assert lock.acquire() is None
    text = f"steps: [{{command: say x, lock: {{name: {name}, on_conflict: {on_conflict}}}}}, noop]"
    try:
        told = run(tmp_path, text)
    finally:
        lock.release()
    assert told.statuses["say"] == status
    assert told.exit_code == (75 if status == "failed" else 0)


def test_what_is_around_a_step_holds_the_lock_for_it_too(tmp_path: Path, name: str) -> None:
    told = run(tmp_path, f"lock: {name}\nsteps: [{{lock: {name}, steps: [{{command: noop, lock: {name}}}]}}]")
    assert told.exit_code == 0


def test_branches_exclude_each_other(tmp_path: Path, name: str) -> None:
    text = f"""
steps:
  - parallel:
      - {{command: work --how short --log {tmp_path}/a, lock: {{name: {name}, on_conflict: wait}}}}
      - {{command: work --how short --log {tmp_path}/b, lock: {{name: {name}, on_conflict: wait}}}}
"""
    told = run(tmp_path, text)
    calls = [event["event"] for event in told.events if event["event"] in {"step_started", "step_finished"}]
    # Those of the group are around those of its branches.
    assert calls[1:5] == ["step_started", "step_finished", "step_started", "step_finished"]


def test_a_lost_lock_ends_the_run(tmp_path: Path, name: str) -> None:
    lock = lock_of(name)
    path = getattr(lock, "path")  # noqa: B009 - of the file backend, which the tests use
    told = run(tmp_path, f"lock: {name}\nsteps: [remove_file {path}, say never]\nfinally: [say end]")
    assert told.exit_code == 75
    assert "got lost: nobody else has it now" in told.result("say")["failure"]["message"]
    assert told.output("say-2") == ["end"]


class FakeLock:
    """A lock that got lost, and that somebody else may have now."""

    name = "nightly"

    def __init__(self, holder: Holder | None) -> None:
        self.holder = holder
        self.is_released = False

    def acquire(self) -> Holder | None:
        return self.holder

    def is_held(self) -> bool:
        return False

    def release(self) -> None:
        self.is_released = True


def test_a_lost_lock_names_who_has_it_now() -> None:
    lock = FakeLock(Holder(host="db1", pid=7, since="2013-01-31T06:00:00Z", what="run_runbook daily.yml"))
    teller = Teller(lambda event: None, lambda: datetime.datetime.now(datetime.UTC))
    failure = Locker(new_lock=lambda name: lock, teller=teller, mask=str).lost((lock,))
    assert failure is not None
    assert failure.message == (
        'the lock "nightly" got lost: '
        "it is held by run_runbook daily.yml, process 7 on db1, since 2013-01-31T06:00:00Z now"
    )
    assert failure.exit_code == 75


def test_looking_who_has_a_lost_lock_does_not_keep_it() -> None:
    lock = FakeLock(None)
    teller = Teller(lambda event: None, lambda: datetime.datetime.now(datetime.UTC))
    failure = Locker(new_lock=lambda name: lock, teller=teller, mask=str).lost((lock,))
    assert failure is not None
    assert "nobody else has it now" in failure.message
    assert lock.is_released


def test_the_lock_of_a_run_that_was_killed_is_free(tmp_path: Path, name: str) -> None:
    log = tmp_path / "log"
    process = start(tmp_path, f"lock: {name}\nsteps: [work --how plain --log {log}]")
    try:
        wait_for(log, "started")
        assert lock_of(name).acquire() is not None
    finally:
        process.kill()
        process.communicate()
    lock = lock_of(name)
    assert lock.acquire() is None
    lock.release()


def test_a_lock_without_a_name_is_a_failure(tmp_path: Path) -> None:
    text = """
params: {place: ""}
steps: [{command: noop, lock: "${{ params.place }}"}]
"""
    told = run(tmp_path, text)
    assert (told.status, told.exit_code) == ("failed", 1)
    assert told.result("noop")["failure"]["message"] == "line 3: the lock has an empty name"
