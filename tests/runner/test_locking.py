"""``lock``: who may run, who waits and who leaves, and that no lock outlives its run."""

from __future__ import annotations

import contextlib
import datetime
import io
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from django_runbook import conf, events
from django_runbook.executors import listing
from django_runbook.locks import factory, namespace, presence, waiting
from django_runbook.locks.base import Holder, Lock, LockState, Probe
from django_runbook.locks.held import HeldLock
from django_runbook.process.deadlines import Branch, Halt
from django_runbook.process.stopping import Stop
from django_runbook.results import Failure
from django_runbook.runner.emitter import Emitter
from django_runbook.runner.finishing import StepFinisher
from django_runbook.runner.locking import Locker
from django_runbook.runner.past import Past
from tests.patience import PATIENCE_SECONDS
from tests.runner.support import run, start, wait_for


def lock_of(name: str) -> Lock:
    return factory.new_factory(conf.read(), what="a test")(name)


@pytest.fixture(autouse=True)
def waits_are_short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Poll often for a held lock."""
    monkeypatch.setattr(waiting, "_POLL_SECONDS", 0.01)


@pytest.fixture
def name(tmp_path: Path) -> str:
    return f"test lock {tmp_path}"


def test_a_held_lock_ends_the_run_before_anything_runs_and_names_the_holder(tmp_path: Path, name: str) -> None:
    lock = lock_of(name)
    assert lock.acquire() is None
    try:
        ended = run(tmp_path, f"lock: {name}\nsteps: [noop]\nfinally: [noop]")
    finally:
        lock.release()
    assert (ended.status, ended.exit_code) == ("refused", 75)
    assert ended.statuses == {"noop": "not_run", "noop-2": "not_run"}
    reason = ended.events[-1]["result"]["reason"]
    assert f'the lock "{name}" is held by a test, process ' in reason
    assert ", since 2" in reason


@contextlib.contextmanager
def held(name: str) -> Iterator[None]:
    """While somebody else has the lock of this name."""
    lock = lock_of(name)
    assert lock.acquire() is None
    try:
        yield
    finally:
        lock.release()


def test_the_lock_of_a_file_is_on_by_default_and_named_after_the_file(tmp_path: Path, name: str) -> None:
    with held(f"runbook {tmp_path}/test.yml"):
        ended = run(tmp_path, "name: Nightly\nsteps: [noop]")
        assert ended.exit_code == 75
        assert f'the lock "runbook {tmp_path}/test.yml" is held by' in ended.events[-1]["result"]["reason"]
        assert run(tmp_path, "name: Nightly\nlock: true\nsteps: [noop]").exit_code == 75
        assert run(tmp_path, "name: Nightly\nlock: {on_conflict: fail}\nsteps: [noop]").exit_code == 75
        assert run(tmp_path, "name: Nightly\nlock: false\nsteps: [noop]").exit_code == 0
        assert run(tmp_path, f"name: Nightly\nlock: {name}\nsteps: [noop]").exit_code == 0
        assert run(tmp_path, "name: Nightly\nsteps: [makemigrations]", dry_run=True, list=True).exit_code == 0
    assert run(tmp_path, "name: Nightly\nsteps: [noop]").exit_code == 0


def test_files_of_one_display_name_do_not_exclude_each_other(tmp_path: Path) -> None:
    with held("Nightly"), held("test"), held(f"runbook {tmp_path}/other.yml"), held("runbook Nightly"):
        assert run(tmp_path, "name: Nightly\nsteps: [noop]").exit_code == 0


def test_one_file_has_one_lock_however_it_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: Settings
) -> None:
    jobs = tmp_path / "release" / "jobs"
    jobs.mkdir(parents=True)
    (tmp_path / "current").symlink_to("release")
    (jobs / "a.yml").write_text("steps: [noop]")
    settings.RUNBOOK = {**settings.RUNBOOK, "DIRS": [tmp_path / "current" / "jobs"]}
    monkeypatch.chdir(jobs)
    with held("runbook a.yml"):
        for named in ("a.yml", "../jobs/a.yml", f"{jobs}/a.yml", f"{tmp_path}/current/jobs/a.yml"):
            assert code_of(named) == 75, named
    settings.RUNBOOK = {**settings.RUNBOOK, "DIRS": []}
    with held(f"runbook {jobs}/a.yml"):
        for named in ("a.yml", "../jobs/a.yml", f"{jobs}/a.yml"):
            assert code_of(named) == 75, named


def test_files_of_one_path_below_two_folders_do_not_exclude_each_other(tmp_path: Path, settings: Settings) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
        (folder / "a.yml").write_text("steps: [noop]")
    settings.RUNBOOK = {**settings.RUNBOOK, "DIRS": folders}
    with held("runbook a.yml"):
        assert [code_of(f"{folder}/a.yml") for folder in folders] == [75, 0]


def code_of(runbook: str) -> int:
    try:
        call_command("run_runbook", runbook, stdout=io.StringIO(), stderr=io.StringIO(), format="plain")
    except SystemExit as error:
        return int(error.code or 0)
    except CommandError as error:
        return error.returncode
    return 0


def test_a_called_runbook_has_the_lock_of_its_own_file(tmp_path: Path) -> None:
    (tmp_path / "called.yml").write_text("name: Nightly\nsteps: [noop]")
    text = "name: Nightly\nsteps: [{runbook: called.yml}]"
    assert run(tmp_path, text).exit_code == 0
    with held(f"runbook {tmp_path}/called.yml"):
        ended = run(tmp_path, text)
    # The run had begun: 75 would say that nothing was run.
    assert (ended.status, ended.exit_code, ended.statuses["called"]) == ("failed", 1, "failed")
    assert ended.result("called")["failure"]["exit_code"] == 75


@pytest.mark.slow
@pytest.mark.parametrize("lock", ["", "lock: true\n", "lock: {on_conflict: wait}\n"])
def test_calls_of_one_runbook_share_its_own_lock(tmp_path: Path, lock: str) -> None:
    (tmp_path / "called.yml").write_text(f"{lock}steps: [noop]")
    branches = "{id: a, runbook: called.yml}, {id: b, runbook: called.yml}"
    assert run(tmp_path, f"steps: [{{parallel: [{branches}]}}]").exit_code == 0


def test_a_written_name_is_the_lock_of_another_runbook_only_where_it_says_so(tmp_path: Path) -> None:
    text = "lock: {name}\nsteps: [noop]"
    with held(f"runbook {tmp_path}/other.yml"):
        assert run(tmp_path, text.format(name=f"{tmp_path}/other.yml")).exit_code == 0
        assert run(tmp_path, text.format(name="other.yml")).exit_code == 0
        assert run(tmp_path, text.format(name=f"runbook {tmp_path}/other.yml")).exit_code == 75


def test_skip_ends_the_run_well(tmp_path: Path, name: str) -> None:
    lock = lock_of(name)
    assert lock.acquire() is None
    try:
        ended = run(tmp_path, f"lock: {{name: {name}, on_conflict: skip}}\nsteps: [noop]")
    finally:
        lock.release()
    assert (ended.status, ended.exit_code, ended.statuses) == ("refused", 0, {"noop": "skipped"})
    assert "is held by" in ended.result("noop")["reason"]


def test_the_wait_ends_when_the_lock_is_free(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = lock_of(name)
    assert lock.acquire() is None
    rests: list[float] = []
    wait = Stop.wait

    def waits(self: Stop, seconds: float) -> bool:
        if seconds and not rests:
            # The run has found the lock held.
            rests.append(seconds)
            lock.release()
        return wait(self, seconds)

    monkeypatch.setattr(Stop, "wait", waits)
    ended = run(tmp_path, f"lock: {{name: {name}, on_conflict: wait}}\nsteps: [noop]")
    assert ended.exit_code == 0
    awaited = next(event for event in ended.events if event["event"] == "lock_awaited")
    assert (awaited["name"], awaited["step_id"]) == (name, "")
    assert "a test" in awaited["holder"]


def test_wait_ends_after_its_time(tmp_path: Path, name: str) -> None:
    lock = lock_of(name)
    assert lock.acquire() is None
    try:
        ended = run(tmp_path, f"lock: {{name: {name}, on_conflict: wait, wait: 0.02s}}\nsteps: [noop]")
    finally:
        lock.release()
    assert ended.exit_code == 75


@pytest.mark.slow
def test_a_stop_ends_the_waiting(tmp_path: Path, name: str) -> None:
    lock = lock_of(name)
    assert lock.acquire() is None
    process = start(tmp_path, f"lock: {{name: {name}, on_conflict: wait}}\nsteps: [noop]", "--format", "jsonl")
    try:
        assert process.stdout is not None
        while "lock_awaited" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        lock.release()
        process.kill()
        process.communicate()
    assert process.returncode == 143


@pytest.mark.slow
def test_a_step_that_waits_for_its_lock_is_not_run_after_a_stop(tmp_path: Path, name: str) -> None:
    lock = lock_of(name)
    assert lock.acquire() is None
    text = f"steps:\n  - {{id: one, command: noop, lock: {{name: {name}, on_conflict: wait}}}}\nfinally: [say end]"
    process = start(tmp_path, text, "--format", "jsonl")
    try:
        assert process.stdout is not None
        while "lock_awaited" not in process.stdout.readline():
            assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        *_, last = process.communicate(timeout=PATIENCE_SECONDS)[0].splitlines()
    finally:
        lock.release()
        process.kill()
        process.communicate()
    result = json.loads(last)["result"]
    # Its command never began: it is not in doubt.
    assert [(step["step_id"], step["status"]) for step in result["steps"]] == [("one", "not_run"), ("say", "succeeded")]
    assert result["steps"][0]["reason"].startswith(f'the run was stopped; the lock "{name}" is held by a test')
    assert process.returncode == 143


@pytest.mark.parametrize(("on_conflict", "status"), [("fail", "failed"), ("skip", "skipped")])
def test_the_lock_of_a_step(tmp_path: Path, name: str, on_conflict: str, status: str) -> None:
    lock = lock_of(name)
    assert lock.acquire() is None
    text = f"steps: [{{command: say x, lock: {{name: {name}, on_conflict: {on_conflict}}}}}, noop]"
    try:
        ended = run(tmp_path, text)
    finally:
        lock.release()
    assert ended.statuses["say"] == status
    assert (ended.status, ended.exit_code) == (("failed", 1) if status == "failed" else ("succeeded", 0))
    if status == "failed":
        assert ended.result("say")["failure"]["exit_code"] == 75


def test_a_step_can_expect_that_its_lock_is_held(tmp_path: Path, name: str) -> None:
    text = f"steps: [{{command: say x, lock: {name}, continue_on_error: [75]}}, noop]"
    with held(name):
        ended = run(tmp_path, text)
    assert (ended.status, ended.exit_code, ended.statuses["noop"]) == ("warning", 0, "succeeded")


def test_what_is_around_a_step_holds_the_lock_for_it_too(tmp_path: Path, name: str) -> None:
    ended = run(tmp_path, f"lock: {name}\nsteps: [{{lock: {name}, steps: [{{command: noop, lock: {name}}}]}}]")
    assert ended.exit_code == 0


@pytest.mark.slow
def test_branches_exclude_each_other(tmp_path: Path, name: str) -> None:
    text = f"""
steps:
  - parallel:
      - {{command: work --how short --log {tmp_path}/a, lock: {{name: {name}, on_conflict: wait}}}}
      - {{command: work --how short --log {tmp_path}/b, lock: {{name: {name}, on_conflict: wait}}}}
"""
    ended = run(tmp_path, text)
    calls = [event["event"] for event in ended.events if event["event"] in {"step_started", "step_finished"}]
    # Those of the group are around those of its branches.
    assert calls[1:5] == ["step_started", "step_finished", "step_started", "step_finished"]


def path_of(name: str) -> Path:
    lock: Any = lock_of(name)
    path: Path = lock.path
    return path


def test_a_lock_that_nobody_else_had_is_acquired_again_and_the_run_says_so(tmp_path: Path, name: str) -> None:
    ended = run(tmp_path, f"lock: {name}\nsteps: [remove_file {path_of(name)}, say more, say end]")
    assert (ended.status, ended.exit_code) == ("succeeded", 0)
    assert [event["name"] for event in ended.events if event["event"] == "lock_retaken"] == [name]


def test_a_lost_lock_ends_the_run(tmp_path: Path, name: str) -> None:
    ended = run(tmp_path, f"lock: {name}\nsteps: [remove_file {path_of(name)} --again, say never]\nfinally: [say end]")
    # The run had begun: 75 would say that nothing was run.
    assert (ended.status, ended.exit_code) == ("failed", 1)
    assert "was lost: it is free now, but another process may have held it" in ended.result("say")["failure"]["message"]
    assert ended.output("say-2") == ["end"]


class FakeLock:
    """A lock that was lost, and that somebody else may have now."""

    name = "nightly"

    def __init__(self, holder: Holder | None, *answers: LockState) -> None:
        self.holder = holder
        self.answers = iter(answers)
        self.is_released = False

    def acquire(self) -> Holder | None:
        return self.holder

    def is_held(self) -> bool:
        return False

    def keep(self) -> LockState:
        return next(self.answers, LockState.LOST)

    def probe(self) -> Probe:
        return Probe.UNKNOWN

    def release(self) -> None:
        self.is_released = True

    discard = release


def lost(lock: FakeLock, emit: events.Listener = lambda event: None, *, halt: Halt | None = None) -> Failure | None:
    emitter = Emitter(emit, lambda: datetime.datetime.now(datetime.UTC))
    finisher = StepFinisher(past=Past(), emitter=emitter, mask=str)
    around = halt or Stop()
    mark = presence.claim("nightly", namespace="a test")
    assert mark is not None
    held = HeldLock(lock, mark)
    try:
        return Locker(new_lock=lambda name: lock, finisher=finisher, emitter=emitter, mask=str).lost(
            (held,), halt=around
        )
    finally:
        mark.close()


@pytest.mark.only("inline")
def test_a_lock_that_cannot_be_asked_for_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    ended: list[events.Event] = []
    assert lost(FakeLock(None, LockState.UNKNOWN, LockState.UNKNOWN, LockState.HELD), ended.append) is None
    # It is reported once.
    assert [type(event) for event in ended] == [events.LockAwaited]
    ended.clear()
    assert lost(FakeLock(None, LockState.UNKNOWN, LockState.RETAKEN), ended.append) is None
    assert [type(event) for event in ended] == [events.LockAwaited, events.LockRetaken]
    assert lost(FakeLock(None, LockState.UNKNOWN, LockState.LOST)) is not None


@pytest.mark.only("inline")
def test_a_stop_ends_the_waiting_for_a_lock_that_cannot_be_asked_for() -> None:
    branch = Branch(Stop(), grace_seconds=1)
    branch.cancel("stopped")
    assert lost(FakeLock(None, *[LockState.UNKNOWN] * 9), halt=branch) is None


@pytest.mark.only("inline")
def test_a_lost_lock_names_who_has_it_now() -> None:
    lock = FakeLock(Holder(host="db1", pid=7, since="2013-01-31T06:00:00Z", what="run_runbook daily.yml"))
    failure = lost(lock)
    assert failure is not None
    assert failure.message == (
        'the lock "nightly" was lost: '
        "it is held by run_runbook daily.yml, process 7 on db1, since 2013-01-31T06:00:00Z now"
    )
    assert failure.exit_code == 1


@pytest.mark.only("inline")
def test_looking_who_has_a_lost_lock_does_not_keep_it() -> None:
    lock = FakeLock(None)
    failure = lost(lock)
    assert failure is not None
    assert "it is free now" in failure.message
    assert lock.is_released


@pytest.mark.slow
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
    ended = run(tmp_path, text)
    assert (ended.status, ended.exit_code) == ("failed", 1)
    assert ended.result("noop")["failure"]["message"] == "line 3: the lock has an empty name"


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has the mark of a process that is at work")
@pytest.mark.only("isolated")
def test_a_run_waits_for_the_processes_of_one_that_was_killed(tmp_path: Path, name: str) -> None:
    log = tmp_path / "log"
    text = f"lock: {name}\nsteps: [work --how plain --log {log}]"
    first = start(tmp_path, text)
    below: list[int] = []
    try:
        wait_for(log, "started")
        below = [pid for pid, _ in listing.descendants(first.pid, group=0)]
        # The server, the keeper and the step: none of them can end the others.
        assert len(below) == 3
        for pid in below:
            os.kill(pid, signal.SIGSTOP)
        first.kill()
        first.communicate()
        second = start(tmp_path, f"lock: {name}\nsteps: [say mine]", "--format", "plain", "--verbosity", "2")
        assert second.stdout is not None
        assert "test" in second.stdout.readline()
        assert "processes of a run that was killed" in second.stdout.readline()
        assert second.poll() is None
    finally:
        for pid in below:
            os.kill(pid, signal.SIGKILL)
    stdout, stderr = second.communicate(timeout=PATIENCE_SECONDS)
    assert second.returncode == 0, stdout + stderr
    assert "| mine" in stdout


def test_processes_that_stay_refuse_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(presence, "PATIENCE_SECONDS", 0.02)
    left = presence.claim(name, namespace=namespace.host_namespace())
    assert left is not None
    ended = run(tmp_path, f"lock: {name}\nsteps: [say never]")
    assert ended.exit_code == 75
    assert "processes of a run that was killed" in ended.events[-1]["result"]["reason"]
    left.close()
    assert run(tmp_path, f"lock: {name}\nsteps: [say now]").exit_code == 0
