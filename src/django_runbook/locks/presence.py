"""Marks that processes of a run are running under a lock, until the last of them has ended.

When a run is killed, its lock is free immediately, but the processes of its steps take a moment to end. Each of them
holds a copy of the mark, which the system removes with the last copy.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import sys
import time
from _socket import AF_UNIX, SOCK_STREAM, socket
from collections.abc import Callable
from typing import Final

from django_runbook.exceptions import LockHeld, LockUnavailable
from django_runbook.process import files

_MAX_NAME: Final = 64
# The processes of a killed run end within a second, unless one waits for a device.
PATIENCE_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.01
_REPORT_SECONDS: Final = 0.5


class Presence:
    """Holds the mark of a name; the processes under the lock inherit ``descriptor``."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._end = _bound(address)
        self._identity = files.identity(self._end.fileno())

    @property
    def descriptor(self) -> int:
        if not self._is_intact:
            # A command in this process has closed the descriptor, whose number may belong to another file now. If a
            # forked child still holds a copy, the mark exists.
            self._end.detach()
            with contextlib.suppress(OSError):
                self._end = _bound(self._address)
                self._identity = files.identity(self._end.fileno())
        return self._end.fileno()

    def close(self) -> None:
        """Close the copy of this process."""
        if self._is_intact:
            self._end.close()
        else:
            self._end.detach()

    @property
    def _is_intact(self) -> bool:
        return files.identity(self._end.fileno()) == self._identity


def claim(name: str, *, namespace: str) -> Presence | None:
    """Claim the mark of a name; return None while a process of an earlier holder is alive on this host.

    ``namespace`` separates projects. Without abstract sockets, which only Linux has, the mark is always free. Raise
    LockUnavailable if the system cannot create the mark.
    """
    digest = hashlib.sha256(f"{namespace}\0{name}".encode(errors="backslashreplace")).hexdigest()
    try:
        return Presence(f"\0django-runbook/{os.geteuid()}/{digest[:_MAX_NAME]}")
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            return None
        raise LockUnavailable(f'the lock "{name}" cannot be marked as held: {error.strerror}') from error


def _bound(address: str) -> socket:
    end = socket(AF_UNIX, SOCK_STREAM)
    if sys.platform == "linux":
        try:
            # An abstract name leaves no file, and needs no writable folder.
            end.bind(address)
        except OSError:
            end.close()
            raise
    return end


def claim_when_free(
    name: str,
    *,
    namespace: str,
    is_stopping: Callable[[], bool] = lambda: False,
    on_wait: Callable[[str], None] = lambda holder: None,
) -> Presence:
    """Claim the mark of a name once the processes of the earlier holder have ended; raise LockHeld if they do not.

    ``on_wait`` is called with a description of the holder, if that takes a while.
    """
    began_at = time.monotonic()
    is_reported = False
    while (presence := claim(name, namespace=namespace)) is None:
        seconds = time.monotonic() - began_at
        if seconds > PATIENCE_SECONDS or is_stopping():
            raise LockHeld(f'the lock "{name}" is held by {HOLDER}')
        if seconds > _REPORT_SECONDS and not is_reported:
            is_reported = True
            on_wait(HOLDER)
        time.sleep(_POLL_SECONDS)
    return presence


HOLDER: Final = "processes of a run that was killed, which are still ending"
