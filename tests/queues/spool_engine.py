"""Writes each message as a file, from which a test delivers it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path


class SpoolEngine:
    """Uses the folder that the environment names."""

    name, queues, problem, local_reason = "spool", None, "", ""

    def send(self, call_id: str, *, queue: str) -> None:
        folder = _folder()
        path = folder / f"{time.monotonic_ns()}-{os.getpid()}.tmp"
        path.write_text(call_id)
        path.rename(path.with_suffix(".message"))

    def count_workers(self, queue: str) -> int | None:
        return None


def take_messages() -> Iterator[str]:
    """Yield the ids of the messages that have been sent since."""
    for path in sorted(_folder().glob("*.message")):
        call_id = path.read_text()
        path.unlink()
        yield call_id


def _folder() -> Path:
    return Path(os.environ["QUEUES_SPOOL"])
