"""Marks that processes of a run are at work under a lock, for as long as one of them lives.

A lock is free at once when its run is killed, but the processes of its steps take a moment to end. Each of them has a
copy of the mark, which the system removes with the last copy.
"""

from __future__ import annotations

import hashlib
import os
import sys
from _socket import AF_UNIX, SOCK_STREAM, socket

_MAX_NAME = 64


class Presence:
    """Holds the mark of a name; ``descriptor`` is passed on to the processes that work under it."""

    def __init__(self, end: socket) -> None:
        self._end = end

    @property
    def descriptor(self) -> int:
        return self._end.fileno()

    def close(self) -> None:
        """Give up the copy of this process."""
        self._end.close()


def claim(name: str, *, space: str) -> Presence | None:
    """Take the mark of a name, or return None while a process of an earlier holder is alive on this host.

    ``space`` keeps projects apart. Without abstract sockets (only Linux has them), the mark is always free.
    """
    end = socket(AF_UNIX, SOCK_STREAM)
    if sys.platform == "linux":
        digest = hashlib.sha256(f"{space}\0{name}".encode(errors="backslashreplace")).hexdigest()
        try:
            # A name of the network namespace and not a file: nothing is left behind, and nothing has to be writable.
            end.bind(f"\0django-runbook/{os.geteuid()}/{digest[:_MAX_NAME]}")
        except OSError:
            end.close()
            return None
    return Presence(end)
