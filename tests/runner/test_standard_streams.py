"""A run that was started without some of its standard descriptors, or its working directory, behaves as `manage.py`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import PATIENCE_SECONDS
from tests.runner.support import environ

pytestmark = pytest.mark.slow

TEXT = """
steps:
  - say one
  - parallel: [say two, say three]
  - {command: say four, isolate: false}
finally: [mark {log}]
"""


def run(directory: Path, redirection: str, *options: str, cwd: Path | None = None) -> tuple[int, bool]:
    """Run a runbook under a shell's redirection; return the exit code and whether `finally` ran."""
    log = directory / "log"
    (directory / "test.yml").write_text(TEXT.replace("mark {log}", f"effect end --log {log}"))
    line = f'exec "$0" -m django run_runbook {directory / "test.yml"} {" ".join(options)} {redirection}'
    done = subprocess.run(
        ["sh", "-c", line, sys.executable],
        env=environ(),
        cwd=cwd or directory,
        timeout=PATIENCE_SECONDS,
        check=False,
        capture_output=True,
    )
    return done.returncode, log.exists()


@pytest.mark.parametrize("way", ["", "--inline"], ids=["isolated", "inline"])
@pytest.mark.parametrize("redirection", ["<&-", ">&-", "2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_a_closed_descriptor_changes_nothing(tmp_path: Path, redirection: str, way: str) -> None:
    assert run(tmp_path, redirection, way) == (0, True)


@pytest.mark.parametrize("format_", ["rich", "plain", "jsonl", "github"])
def test_a_report_without_a_reader_is_not_a_failure(tmp_path: Path, format_: str) -> None:
    assert run(tmp_path, ">&-", f"--format {format_}") == (0, True)


@pytest.mark.parametrize("way", ["", "--inline"], ids=["isolated", "inline"])
def test_a_working_directory_that_is_gone_changes_nothing(tmp_path: Path, way: str) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    line = f'rmdir {gone}; exec "$0" -m django run_runbook {tmp_path / "test.yml"} {way}'
    log = tmp_path / "log"
    (tmp_path / "test.yml").write_text(TEXT.replace("mark {log}", f"effect end --log {log}"))
    done = subprocess.run(
        ["sh", "-c", line, sys.executable],
        env=environ(),
        cwd=gone,
        timeout=PATIENCE_SECONDS,
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert log.exists()
