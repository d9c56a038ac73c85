"""Passes open descriptors to other processes, and keeps the three standard ones in place."""

from __future__ import annotations

import _socket
import array
import contextlib
import os
from _socket import CMSG_SPACE, SCM_RIGHTS, SOL_SOCKET, socket
from collections.abc import Sequence

# macOS has no flag for it.
_CLOSE_ON_EXEC: int = getattr(_socket, "MSG_CMSG_CLOEXEC", 0)


def send(end: socket, kind: bytes, given: Sequence[int]) -> None:
    """Send a byte with descriptors; raise OSError if the other end is closed."""
    end.sendmsg([kind], [(SOL_SOCKET, SCM_RIGHTS, array.array("i", given))])


def receive(end: socket, max_count: int) -> tuple[bytes, list[int]]:
    """Receive a byte and its descriptors; no byte means that the other end is closed."""
    data, ancillary, _, _ = end.recvmsg(1, CMSG_SPACE(max_count * array.array("i").itemsize), _CLOSE_ON_EXEC)
    given = array.array("i")
    for level, kind, part in ancillary:
        if level == SOL_SOCKET and kind == SCM_RIGHTS:
            given.frombytes(part[: len(part) - len(part) % given.itemsize])
    for descriptor in given:
        os.set_inheritable(descriptor, False)  # noqa: FBT003 - as the system call has it
    return data, given.tolist()


def empty(descriptor: int) -> None:
    """Connect a descriptor to an empty file."""
    null = os.open(os.devnull, os.O_RDWR)
    if null != descriptor:
        os.dup2(null, descriptor)
        os.close(null)


def fill_standard() -> None:
    """Open closed standard descriptors, so that no other file or socket gets their numbers."""
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                empty(descriptor)
