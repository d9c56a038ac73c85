"""A stop between the steps of a block interrupts the block: a resume runs the rest, and nothing twice."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from django_runbook import signals
from tests.journal.support import effects, resume
from tests.runner.support import run

pytestmark = pytest.mark.django_db


@pytest.fixture
def stop_after_a() -> Iterator[None]:
    """Stop the run once, when the first command has ended."""
    stopped: list[str] = []

    def on_step(event: Any, **_: Any) -> None:
        if not stopped and event.result.status == "succeeded":
            stopped.append(event.result.step_id)
            os.kill(os.getpid(), signal.SIGTERM)
            # The signal is counted by another thread.
            time.sleep(0.2)

    signals.step_finished.connect(on_step)
    yield
    signals.step_finished.disconnect(on_step)
    assert stopped


LOOP = "{id: block, command: 'effect ${{ item }} --log log', for_each: [a, b, c]}"
GROUP = "{id: block, steps: [effect a --log log, effect b --log log, effect c --log log]}"
LOOP_OF_GROUPS = "{id: block, for_each: [a, b, c], steps: ['effect ${{ item }} --log log']}"
ONE_AT_A_TIME = "{id: block, max_parallel: 1, parallel: [effect a --log log, effect b --log log, effect c --log log]}"


@pytest.mark.usefixtures("stop_after_a")
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
