"""Kills runs and their fork servers: no process outlives the run."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_runbook.executors import listing
from django_runbook.executors.spawner import Spawner
from tests.executors.processes import of_groups
from tests.executors.test_process import failure, isolated
from tests.patience import PATIENCE_SECONDS, scaled, wait_until
from tests.runner.support import environ, start, wait_for

pytestmark = pytest.mark.slow

# The first step starts the server, so that the second step has its full time.
STEPS = """
steps:
  - {{command: noop, isolate: true}}
  - {{command: spawn {child} --then {then} --log {log}, isolate: true, id: it{more}}}
  - {{command: say still here, isolate: true}}
fail_fast: false
"""


class Run:
    """Starts a run whose step starts further processes."""

    def __init__(self, directory: Path) -> None:
        self.log = directory / "log"
        self._directory = directory
        self.process: subprocess.Popen[str] | None = None
        self.group = self.server = 0

    def start(self, child: str, then: str, *, more: str = "") -> None:
        text = STEPS.format(child=child, then=then, log=self.log, more=more)
        self.process = start(self._directory, text, "--format", "plain", environ={"STOP_TIMEOUT": "0.5"})
        wait_for(self.log, " ")
        self.group, _, self.server = map(int, self.log.read_text().split())
        # If the command exits immediately, its server may have ended too.
        assert then == "leave" or self.server in of_groups({self.group, self.server})

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.communicate(timeout=PATIENCE_SECONDS)

    def end(self) -> tuple[int, str]:
        assert self.process is not None
        stdout, stderr = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, stdout + stderr

    def wait_until_gone(self) -> None:
        wait_until(lambda: not of_groups({self.group, self.server}), what="the processes of the run are gone")

    def clean_up(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
        for group in {self.group, self.server} - {0}:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        escaped = self.log.with_suffix(".escaped")
        if escaped.exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(escaped.read_text()), signal.SIGKILL)


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    one = Run(tmp_path)
    yield one
    one.clean_up()


@pytest.mark.parametrize(
    ("child", "then"),
    [
        ("plain", "wait"),
        ("stubborn", "wait"),
        ("double", "wait"),
        ("plain", "ignore"),
        ("plain", "hold_gil"),
        ("stubborn", "halt"),
    ],
)
def test_a_killed_run_leaves_no_process(run: Run, child: str, then: str) -> None:
    run.start(child, then)
    run.kill()
    run.wait_until_gone()


def test_a_run_killed_while_its_server_is_suspended_leaves_no_running_process(run: Run) -> None:
    run.start("plain", "wait")
    os.kill(run.server, signal.SIGSTOP)
    run.kill()
    wait_until(lambda: not of_groups({run.group}), what="the processes of the step are gone")
    os.kill(run.server, signal.SIGCONT)
    run.wait_until_gone()


@pytest.mark.parametrize("then", ["wait", "ignore", "halt"])
def test_a_killed_server_fails_its_step_and_is_replaced(run: Run, then: str) -> None:
    run.start("stubborn", then)
    os.kill(run.server, signal.SIGKILL)
    code, output = run.end()
    assert code == 1
    assert "it was ended because the process that watches over it was killed" in output
    assert "ok       say" in output
    run.wait_until_gone()


@pytest.mark.parametrize("child", ["plain", "stubborn", "double", "session"])
def test_remaining_processes_of_a_command_are_ended_and_named(run: Run, child: str) -> None:
    run.start(child, "leave")
    code, output = run.end()
    assert code == 0, output
    assert "a process that it started was still running, and ended: " in output
    assert not of_groups({run.group, run.server})


@pytest.mark.parametrize(("child", "then"), [("plain", "hold_gil"), ("stubborn", "halt")])
def test_a_timeout_ends_what_the_command_started(run: Run, child: str, then: str) -> None:
    run.start(child, then, more=f", timeout: {scaled(1)}s")
    code, output = run.end()
    assert code == 1
    assert "SIGKILL ended it, after SIGTERM" in output
    assert not of_groups({run.group, run.server})


def test_processes_are_found_without_proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(listing, "_PROC", tmp_path / "none")
    child = subprocess.Popen(["sleep", "60"], process_group=0)
    try:
        other = subprocess.Popen(["sleep", "60"], process_group=child.pid)
        try:
            found = set(listing.descendants(os.getpid(), group=child.pid))
            assert found == {(child.pid, "sleep"), (other.pid, "sleep")}
            assert {child.pid, other.pid} <= set(listing.children(os.getpid()))
        finally:
            other.kill()
            other.wait()
        assert list(listing.descendants(os.getpid(), group=child.pid)) == [(child.pid, "sleep")]
    finally:
        child.kill()
        child.wait()


def test_processes_are_found_where_the_kernel_lists_no_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(listing, "_children_by_kernel", lambda pid: None)
    child = subprocess.Popen(["sh", "-c", "sleep 60 & wait"])
    try:
        wait_until(lambda: len(list(listing.descendants(child.pid, group=0))) == 1, what="the shell has a child")
    finally:
        for pid, _ in listing.descendants(os.getpid(), group=0):
            os.kill(pid, signal.SIGKILL)
        child.wait()


def test_the_end_of_a_step_is_detected_without_waitid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "waitid")
    assert failure(isolated(tmp_path, "crash leave_with_7"))[1] == 7


def test_a_signal_that_the_run_blocks_is_not_blocked_in_the_server(tmp_path: Path) -> None:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM})
    try:
        report = isolated(tmp_path, "crash leave_with_7")
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
    assert failure(report)[1] == 7


def test_a_server_that_cannot_fork_fails_the_step_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fork, parent, seen = os.fork, os.getpid(), itertools.count()

    def fork_once() -> int:
        # The server itself, and its second step.
        if os.getpid() == parent or next(seen):
            return fork()
        raise BlockingIOError(11, "no more")

    monkeypatch.setattr(os, "fork", fork_once)
    report = isolated(tmp_path, "noop", more="  - {command: say hello, isolate: true}\nfail_fast: false\n")
    assert report.statuses == {"it": "failed", "say": "succeeded"}
    assert failure(report)[2] == "the subprocess could not be started: no more"


@pytest.mark.parametrize(
    ("count", "said"),
    [(7, "CommandError: the run ended: "), (10, "cannot be marked as held: "), (13, "could not be started: ")],
)
def test_a_run_without_free_descriptors_fails_with_the_cause(tmp_path: Path, count: int, said: str) -> None:
    text = "steps: [{command: noop, isolate: true}]\nfinally: [say cleaned up]"
    program = f"import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, ({count}, {count})); "
    program += "from django.core.management import execute_from_command_line as main; main(sys.argv)"
    (tmp_path / "test.yml").write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", program, "run_runbook", str(tmp_path / "test.yml")],
        env=environ(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{said}Too many open files" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_a_step_whose_server_dies_before_the_call_runs_on_another_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spawn, requests = Spawner.spawn, itertools.count()

    def lose_first(self: Spawner, *args: Any, **options: Any) -> None:
        # A server that was just killed may accept the request, and its end closes the descriptors.
        if next(requests):
            spawn(self, *args, **options)

    monkeypatch.setattr(Spawner, "spawn", lose_first)
    report = isolated(tmp_path, "say hello")
    assert report.statuses == {"it": "succeeded"}
    assert report.output("it") == ["hello"]
    assert next(requests) == 2
