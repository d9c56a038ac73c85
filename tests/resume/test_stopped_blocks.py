"""A stop between the steps of a block interrupts the block: a resume runs the rest, and nothing twice."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_runbook import signals
from django_runbook.process import interruption, stop_reports
from django_runbook.process.stop_requests import StopRequests
from tests.journal.support import effects, resume
from tests.patience import PATIENCE_SECONDS, eventually
from tests.runner.support import run

pytestmark = pytest.mark.django_db


@pytest.fixture(params=[""])
def stop_after(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Stop the run once, when the first command, or the step of the parameter, has ended."""
    stopped: list[str] = []
    is_counted = threading.Event()
    count = StopRequests.count

    def count_and_tell(requests: StopRequests, number: int) -> None:
        count(requests, number)
        is_counted.set()

    monkeypatch.setattr(StopRequests, "count", count_and_tell)
    # The report of the stop waits for `on_step`, which waits for the stop: neither has to wait in vain.
    monkeypatch.setattr(stop_reports, "_REPORT_LEAD_SECONDS", 0.0)

    def on_step(event: Any, **_: Any) -> None:
        step_id = event.result.step_id
        if not stopped and event.result.status == "succeeded" and request.param in {"", step_id}:
            stopped.append(step_id)
            os.kill(os.getpid(), signal.SIGTERM)
            # By another thread.
            assert is_counted.wait(PATIENCE_SECONDS)

    signals.step_finished.connect(on_step)
    yield
    signals.step_finished.disconnect(on_step)
    assert stopped


LOOP = "{id: block, command: 'effect ${{ item }} --log log', for_each: [a, b, c]}"
GROUP = "{id: block, steps: [effect a --log log, effect b --log log, effect c --log log]}"
LOOP_OF_GROUPS = "{id: block, for_each: [a, b, c], steps: ['effect ${{ item }} --log log']}"
ONE_AT_A_TIME = "{id: block, max_parallel: 1, parallel: [effect a --log log, effect b --log log, effect c --log log]}"


@pytest.mark.usefixtures("stop_after")
@pytest.mark.parametrize(
    "block", [LOOP, GROUP, LOOP_OF_GROUPS, ONE_AT_A_TIME], ids=["loop", "group", "loop-of-groups", "parallel"]
)
def test_a_resume_continues_a_block_that_a_stop_has_left(tmp_path: Path, block: str) -> None:
    text = f"steps:\n  - {block}\n  - {{id: last, command: effect d --log log}}"
    stopped = run(tmp_path, text)
    assert (stopped.exit_code, stopped.statuses["block"], stopped.statuses["last"]) == (143, "interrupted", "not_run")
    assert effects(tmp_path) == ["a"]
    ended = resume(tmp_path, text)
    assert (ended.exit_code, ended.statuses["block"]) == (0, "succeeded")
    assert effects(tmp_path) == ["a", "b", "c", "d"]


def effect(name: str, *options: str) -> str:
    return f"{{id: {name}, command: {' '.join(['effect', name, '--log', 'log', *options])}}}"


IN_GROUP = """
steps:
  - id: block
    continue_on_error: true
    steps: [STEP]
    on_success: [GOOD]
    on_failure: [BAD]
    finally: [LAST]
"""
IN_FILE = """
steps: [{id: block, continue_on_error: CONTINUE, steps: [STEP]}]
on_success: [GOOD]
on_failure: [BAD]
finally: [LAST]
"""
TWO = f"{effect('b')}, {effect('c')}"


@pytest.mark.usefixtures("stop_after")
@pytest.mark.parametrize("stop_after", ["b"], indirect=True)
@pytest.mark.parametrize("file", [IN_GROUP, IN_FILE], ids=["group", "file"])
@pytest.mark.parametrize("is_good", [True, False], ids=["on_success", "on_failure"])
def test_a_resume_runs_the_handlers_that_a_stop_has_left(tmp_path: Path, file: str, *, is_good: bool) -> None:
    parts = {
        "STEP": effect("a") if is_good else effect("a", "--fail-until", "9"),
        "GOOD": TWO if is_good else "noop",
        "BAD": "noop" if is_good else TWO,
        "LAST": effect("f"),
        "CONTINUE": "false",
    }
    text = file
    for name, part in parts.items():
        text = text.replace(name, part)
    assert run(tmp_path, text).exit_code == 143
    assert effects(tmp_path) == ["a", "b", "f"]
    resume(tmp_path, text)
    again = [] if is_good else ["a"]
    assert effects(tmp_path) == ["a", "b", "f", *again, "b", "c", "f"]


@pytest.mark.parametrize("file", [IN_GROUP, IN_FILE], ids=["group", "file"])
@pytest.mark.parametrize("role", ["on_success", "finally"])
def test_a_resume_runs_the_handler_again_that_a_stop_has_ended(
    tmp_path: Path, file: str, role: str, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.RUNBOOK = {**settings.RUNBOOK, "STOP_TIMEOUT": 0.01}
    # The step has no statement that could be canceled.
    monkeypatch.setattr(interruption, "_CANCEL_SECONDS", 0.0)
    waiting = effect("w", "--until", "go")
    text = file.replace("STEP", effect("a")).replace("BAD", "noop").replace("CONTINUE", "false")
    text = text.replace("GOOD", waiting if role == "on_success" else "noop")
    text = text.replace("LAST", waiting if role == "finally" else effect("f"))

    def stop() -> None:
        eventually(lambda: "w" in effects(tmp_path))
        os.kill(os.getpid(), signal.SIGTERM)

    stopper = threading.Thread(target=stop)
    stopper.start()
    stopped = run(tmp_path, text)
    stopper.join()
    assert (stopped.exit_code, stopped.statuses["w"]) == (143, "interrupted")
    (tmp_path / "go").touch()
    ended = resume(tmp_path, text)
    assert (ended.exit_code, ended.statuses["w"], ended.statuses["block"]) == (0, "succeeded", "succeeded")
    assert [name for name in effects(tmp_path) if name != "f"] == ["a", "w", "w"]
