"""A command in the process of the run that ends that process, or replaces it, fails, and the run goes on."""

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
def test_the_end_of_the_process_is_the_failure_of_the_step(tmp_path: Path, how: str, call: str) -> None:
    told = run(tmp_path, TEXT.format(how=how))
    assert told.exit_code == 1
    assert told.statuses == {"leave": "failed", "say": "succeeded", "say-2": "succeeded"}
    failure = told.result("leave")["failure"]
    assert f"the command called {call}, which " in failure["message"]
    assert os._exit is exits.leave
    if failure["error_type"] == "ProcessExit":
        # The line of the user, not ours.
        assert "exits.py" not in failure["traceback"]


def test_processes_that_the_command_forks_may_end(tmp_path: Path) -> None:
    told = run(tmp_path, TEXT.format(how="in_children"))
    assert told.output("leave") == ["7 0"]
    assert told.exit_code == 0


@pytest.mark.slow
def test_a_thread_that_ends_the_process_ends_it_not_with_0(tmp_path: Path) -> None:
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
