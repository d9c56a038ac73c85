"""Tries inline commands that exit or replace their process: they fail, and the run continues."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from django_runbook.process import exits
from tests.patience import PATIENCE_SECONDS
from tests.runner.support import environ, run

TEXT = "fail_fast: false\nsteps: [leave {how}, say more]\nfinally: [say end]\n"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "call"),
    [
        ("exit_with_0", "os._exit(0)"),
        ("exit_with_7", "os._exit(7)"),
        ("exit_and_swallow", "os._exit(0)"),
        ("daemonize", "os._exit(0)"),
        ("execute", 'os.execv("/bin/true")'),
        ("execute_by_path", 'os.execve("/bin/true")'),
    ],
)
def test_an_exit_from_the_process_fails_the_step(tmp_path: Path, how: str, call: str) -> None:
    report = run(tmp_path, TEXT.format(how=how))
    assert report.exit_code == 1
    assert report.statuses == {"leave": "failed", "say": "succeeded", "say-2": "succeeded"}
    failure = report.result("leave")["failure"]
    assert f"the command called {call}, which " in failure["message"]
    assert os._exit is exits.leave
    if failure["error_type"] == "ProcessExit":
        # The last line is the user's, not ours.
        assert "exits.py" not in failure["traceback"]


@pytest.mark.slow
def test_forked_processes_may_exit(tmp_path: Path) -> None:
    report = run(tmp_path, TEXT.format(how="in_children"))
    assert report.output("leave") == ["7 0"]
    assert report.exit_code == 0


@pytest.mark.slow
def test_a_thread_that_exits_the_process_does_not_exit_with_0(tmp_path: Path) -> None:
    (tmp_path / "test.yml").write_text(TEXT.format(how="in_thread"))
    done = subprocess.run(
        [sys.executable, "-m", "django", "run_runbook", "test.yml", "--inline", "--format", "plain"],
        cwd=tmp_path,
        env=environ(),
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert done.returncode == 1
    assert "a thread of the command called os._exit(0): the run ends" in done.stderr
