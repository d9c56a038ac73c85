"""Measures the processor time of management commands, with that of all processes that they start (Linux)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

# Of <linux/prctl.h>.
PR_SET_CHILD_SUBREAPER = 36


class Cost(NamedTuple):
    """Holds the processor time of all processes of a command, and the peak memory of its own one."""

    seconds: float
    megabytes: float


def adopt_orphans() -> None:
    """Make this process the parent of processes that outlive their own, such as the server of a run's steps."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def environ_of(folder: Path, **more: str) -> dict[str, str]:
    """Return the environment of the benchmarks' project, with its database in the folder."""
    # Modules that are imported on the way are read, not compiled.
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {
        **inherited,
        "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
        "BENCHMARK_DATABASE": str(folder / "db.sqlite3"),
        "PYTHONPATH": os.pathsep.join(filter(None, (str(Path.cwd()), os.environ.get("PYTHONPATH", "")))),
        **more,
    }


def manage(words: Sequence[str], environ: Mapping[str, str], folder: Path) -> float:
    """Run a management command in the folder; return the processor time of all its processes in seconds."""
    return python(("-m", "django", *words), environ, folder)


def peak_megabytes(words: Sequence[str], environ: Mapping[str, str], folder: Path) -> float:
    """Run a management command in the folder; return the peak memory of its own process in MB."""
    return cost(("-m", "django", *words), environ, folder).megabytes


def python(words: Sequence[str], environ: Mapping[str, str], folder: Path) -> float:
    """Run Python in the folder; return the processor time of all its processes in seconds."""
    return cost(words, environ, folder).seconds


def cost(words: Sequence[str], environ: Mapping[str, str], folder: Path, *, status: int = 0) -> Cost:
    """Run Python in the folder, which ends with the status; return what it cost."""
    with tempfile.TemporaryFile() as output:
        _, ended, usage = os.wait4(_started(words, environ, folder, output.fileno()), 0)
        code = os.waitstatus_to_exitcode(ended)
        if code != status:
            output.seek(0)
            shown = output.read().decode(errors="replace")
            raise SystemExit(f"{' '.join(words)} ended with exit code {code}:\n{shown}")
    megabytes, seconds = usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime
    # The processes that outlive it by a moment have become ours.
    with contextlib.suppress(ChildProcessError):
        while True:
            _, _, usage = os.wait4(-1, 0)
            seconds += usage.ru_utime + usage.ru_stime
    return Cost(seconds, megabytes)


def _started(words: Sequence[str], environ: Mapping[str, str], folder: Path, output: int) -> int:
    pid = os.fork()
    if pid == 0:
        os.chdir(folder)
        for number in (1, 2):
            os.dup2(output, number)
        os.execve(sys.executable, [sys.executable, *words], dict(environ))
    return pid
