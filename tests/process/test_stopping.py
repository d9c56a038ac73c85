"""Signals runs, each in a subprocess."""

from __future__ import annotations

import math
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_runbook import conf
from django_runbook.locks import factory
from django_runbook.process.stopping import Stop
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.runner.support import start, wait_for
from tests.services import require_postgres, running_statements

pytestmark = pytest.mark.slow

# Signals that are closer together count as one.
GAP_SECONDS = 0.6

RUNBOOK = """
steps:
  - command: work --log {log} --word {log} --how {how}
  - command: say never
finally:
  - command: work --how {last} --log {log}.finally
"""


class Run:
    """Starts a run, and signals it."""

    def __init__(self, directory: Path) -> None:
        self.log = directory / "log"
        self._directory = directory
        self.process: subprocess.Popen[str] | None = None

    def start(self, how: str, *options: str, last: str = "short", **environ: str) -> None:
        text = RUNBOOK.format(how=how, log=self.log, last=last)
        self.process = start(self._directory, text, "--format", "plain", *options, environ=environ)
        wait_for(self.log, "item" if how.startswith("items") else "started")

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def signal_twice(self) -> None:
        """Send two signals far enough apart to count as two."""
        assert self.process is not None
        assert self.process.stdout is not None
        self.signal(signal.SIGTERM)
        while "stopping after" not in self.process.stdout.readline():
            assert self.process.poll() is None
        time.sleep(GAP_SECONDS)
        self.signal(signal.SIGTERM)

    def wait_for_statement(self) -> None:
        """Wait until the server executes the statement; the log only shows that it is about to be sent."""
        wait_until(lambda: running_statements(f"pg_sleep%{self.log}") > 0, what="the statement runs")

    def end(self) -> tuple[int, str]:
        assert self.process is not None
        stdout, stderr = self.process.communicate(timeout=PATIENCE_SECONDS)
        return self.process.returncode, stdout + stderr

    @property
    def ran_finally(self) -> bool:
        path = self.log.with_name("log.finally")
        return path.exists() and "started" in path.read_text()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Run]:
    one = Run(tmp_path)
    yield one
    if one.process is not None:
        one.process.kill()
        one.process.communicate()


@pytest.mark.parametrize(
    ("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)], ids=str
)
def test_a_cooperative_command_finishes_its_item(run: Run, number: signal.Signals, exit_code: int) -> None:
    run.start("items")
    run.signal(number)
    code, output = run.end()
    assert code == exit_code, output
    assert "stopped before" in run.log.read_text()
    assert run.ran_finally
    assert "INTERRUPTED work" in output
    assert "not run  say" in output
    assert "interrupted: " in output


def test_a_plain_command_is_left_to_finish(run: Run) -> None:
    run.start("short")
    run.signal(signal.SIGTERM)
    code, output = run.end()
    assert code == 143, output
    assert "finished" in run.log.read_text()
    assert "ok       work" in output
    assert run.ran_finally


@pytest.mark.parametrize("how", ["items", "short"])
def test_an_isolated_command_is_stopped_or_left_to_finish(run: Run, how: str) -> None:
    run.start(f"{how}\n    isolate: true")
    run.signal(signal.SIGTERM)
    code, output = run.end()
    assert code == 143, output
    assert ("stopped before" if how == "items" else "finished") in run.log.read_text()
    assert ("INTERRUPTED work" if how == "items" else "ok       work") in output
    assert run.ran_finally


@pytest.mark.parametrize("how", ["plain", "stubborn", "sql"])
def test_a_second_signal_ends_the_command_immediately(run: Run, how: str) -> None:
    run.start(how)
    run.signal_twice()
    code, output = run.end()
    assert code == 143, output
    assert "INTERRUPTED work" in output
    assert run.ran_finally
    assert "caught" not in run.log.read_text()


def test_a_statement_on_postgresql_is_canceled_and_its_connection_stays_usable(run: Run) -> None:
    require_postgres()
    run.start("sql", DJANGO_SETTINGS_MODULE="tests.postgres_settings")
    run.wait_for_statement()
    run.signal_twice()
    code, output = run.end()
    assert code == 143, output
    assert "canceling statement due to user request" in output
    assert "was closed" not in output
    assert run.ran_finally


def test_a_command_with_a_handler_of_its_own_is_interrupted(run: Run) -> None:
    run.start("handler")
    run.signal(signal.SIGTERM)
    code, output = run.end()
    assert code == 143, output
    assert "stopped by its own handler" in run.log.read_text()
    assert "INTERRUPTED work" in output
    assert run.ran_finally


def test_a_step_of_finally_has_a_stop_timeout_of_its_own(run: Run) -> None:
    run.start("plain", last="plain", STOP_TIMEOUT="1")
    run.signal(signal.SIGTERM)
    code, output = run.end()
    assert code == 143, output
    assert run.ran_finally
    # The summary is printed, and the step of finally was ended.
    assert "interrupted: " in output
    assert output.count("INTERRUPTED work") == 2


def test_a_third_signal_ends_the_step_of_finally(run: Run) -> None:
    run.start("plain", last="plain")
    run.signal_twice()
    wait_for(run.log.with_name("log.finally"), "started")
    time.sleep(GAP_SECONDS * 2)
    run.signal(signal.SIGTERM)
    code, output = run.end()
    assert code == 143, output
    assert "interrupted: " in output


def test_signals_close_together_are_one_and_a_storm_is_two(run: Run) -> None:
    run.start("items", last="short")
    for _ in range(3):
        run.signal(signal.SIGTERM)
        time.sleep(0.05)
    code, output = run.end()
    assert code == 143, output
    assert "stopped before" in run.log.read_text()
    assert "ending the current command" not in output


def test_a_storm_ends_the_command_and_not_the_run(run: Run) -> None:
    run.start("plain")
    for _ in range(20):
        run.signal(signal.SIGTERM)
        time.sleep(0.05)
    code, output = run.end()
    assert code == 143, output
    assert run.ran_finally
    assert "interrupted: " in output


def test_a_command_that_ignores_everything_is_killed_and_the_run_continues(run: Run) -> None:
    run.start("stubborn", STOP_TIMEOUT="1")
    run.signal(signal.SIGTERM)
    code, output = run.end()
    assert code == 143, output
    assert run.ran_finally
    assert "interrupted: " in output


@pytest.mark.parametrize("steps", ["[{cleanup}]", "[{{parallel: [{cleanup}]}}]"])
@pytest.mark.parametrize(
    "cleanup",
    [
        "{id: cleanup, command: fail, retry: {attempts: 9, delay: 1h, jitter: false}}",
        "{id: cleanup, command: noop, lock: {name: LOCK, on_conflict: wait}}",
    ],
)
def test_a_second_signal_ends_the_wait_in_finally_but_not_the_rest(tmp_path: Path, steps: str, cleanup: str) -> None:
    lock = factory.new_factory(conf.read(), what="a test")(f"test stop {tmp_path}")
    assert lock.acquire() is None
    cleanup = cleanup.replace("LOCK", lock.name)
    text = f"steps: [noop]\nfinally:\n  - steps: {steps.format(cleanup=cleanup)}\n  - say the end of it"
    process = start(tmp_path, text, "--format", "plain", "--verbosity", "2")
    try:
        assert process.stdout is not None
        for expected in ("next in 1h" if "retry" in cleanup else "waiting", "stopping after"):
            while expected not in process.stdout.readline():
                assert process.poll() is None
            time.sleep(GAP_SECONDS)
            process.send_signal(signal.SIGTERM)
        stdout, _ = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
        process.communicate()
        lock.release()
    assert "| the end of it" in stdout
    assert process.returncode == 143
    assert "interrupted: " in stdout


@pytest.mark.only("inline")
def test_a_signal_that_a_command_handles_is_counted_when_the_command_returns() -> None:
    with Stop() as stop:
        for _ in range(50):
            stop.request_count = 0
            with stop.interruptible():
                signal.signal(signal.SIGTERM, lambda number, frame: None)
                signal.raise_signal(signal.SIGTERM)
            stop.settle()
            assert stop.is_requested
            assert stop.was_taken_by_command
            # Signals that are this close would count as one.
            stop._counted_at = -math.inf
