"""Starts a command in its own process, and waits for its output."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PATIENCE_SECONDS = 30.0


@contextmanager
def started(code: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process with the tests' settings, which is ended by its pid at the latest after the test's patience."""
    paths = os.pathsep.join(str(path) for path in (ROOT / "src", ROOT, ROOT / "example_project"))
    env = {**os.environ, "PYTHONPATH": paths, "DJANGO_SETTINGS_MODULE": "tests.settings", **environ}
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        preexec_fn=_default_signals,  # noqa: PLW1509 - there are no threads here
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
        text=True,
    )
    reaper = threading.Timer(PATIENCE_SECONDS, process.kill)
    reaper.start()
    try:
        yield process
    finally:
        process.kill()
        process.communicate()
        reaper.cancel()


def read_line(process: subprocess.Popen[str]) -> str:
    """The next line of its standard output; empty at its end."""
    assert process.stdout is not None
    return process.stdout.readline().rstrip("\n")


def _default_signals() -> None:
    # Whoever runs the tests may ignore some, as nohup does, and a command respects that.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
