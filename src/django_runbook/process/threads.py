"""Counts the threads of this process, since a fork copies one thread but the locks of all."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

_TASKS: Final = Path("/proc/self/task")


def count() -> int:
    """Return the number of threads, including native ones if the system lists them."""
    try:
        native = sum(1 for _ in _TASKS.iterdir())
    except OSError:
        native = 0
    return max(native, threading.active_count())
