"""Starts programs in process groups of their own, which are gone when the context ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def started(
    words: Sequence[str], *, env: Mapping[str, str], directory: Path, output: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a program, whose output goes to a file that is printed if the test fails."""
    with output.open("wb") as stream:
        process = subprocess.Popen(
            words,
            env=dict(env),
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            process_group=0,
        )
    with ended_group(process, output):
        yield process


@contextlib.contextmanager
def ended_group(process: subprocess.Popen[Any], output: Path) -> Iterator[None]:
    """End the group of a process with the context, and print its output if the test fails."""
    try:
        yield
    except BaseException:
        print(output.read_text())
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
