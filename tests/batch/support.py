"""Starts a command in its own process, and waits for its output."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.patience import PATIENCE_SECONDS
from tests.prepared import PreparedProcess

ROOT = Path(__file__).parent.parent.parent


@contextmanager
def started(code: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process with the tests' settings, which is ended by its pid at the latest after the test's patience."""
    paths = os.pathsep.join(str(path) for path in (ROOT / "src", ROOT, ROOT / "example_project"))
    env = {**os.environ, "PYTHONPATH": paths, "DJANGO_SETTINGS_MODULE": "tests.settings", **environ}
    process = PreparedProcess(
        code=code, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
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
