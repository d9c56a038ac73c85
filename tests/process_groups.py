"""Starts programs in process groups of their own, which are gone when the context ends."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path


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
    try:
        yield process
    except BaseException:
        print(output.read_text())
        raise
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
