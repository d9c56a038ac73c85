"""Messages between the process of a run and that of a step: values of ours, whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any, Final

_LENGTH: Final = struct.Struct("!Q")
_CHUNK: Final = 256 * 1024


class Channel:
    """One end of a pair of sockets. Both ends run code of the same project, so that what they pickle can be trusted."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        # A command can close our descriptor and get its number for a file of its own.
        self._identity = _identity(end.fileno())
        self._waiting = bytearray()
        # The threads of a command write lines at the same time.
        self._lock = threading.Lock()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: object) -> None:
        """Hand a message over, and wait while the other end is behind; raises OSError where it is gone."""
        data = pickle.dumps(message)
        with self._lock:
            self._check()
            self._socket.sendall(_LENGTH.pack(len(data)) + data)

    def receive(self) -> Any:
        """Wait for the next message; raises EOFError where the other end is gone."""
        while True:
            for message in self._whole():
                return message
            self._read()

    def receive_waiting(self) -> Iterator[Any]:
        """The messages that are whole, after one look that does not wait; raises EOFError after the last one.

        Whoever waits with `select` calls this: a process that was halted in the middle of a message holds up nobody.
        """
        is_over = False
        try:
            self._read(socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass
        except EOFError:
            is_over = True
        yield from self._whole()
        if is_over:
            raise EOFError

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._socket.close()

    @property
    def is_ours(self) -> bool:
        """Whether the descriptor is still the one that it was."""
        try:
            return _identity(self.fileno()) == self._identity
        except OSError:
            return False

    def _check(self) -> None:
        if not self.is_ours:
            raise OSError(errno.EBADF, "the connection to the run was closed by its command")

    def _read(self, flags: int = 0) -> None:
        self._check()
        try:
            data = self._socket.recv(_CHUNK, flags)
        except ConnectionError as error:
            raise EOFError from error
        if not data:
            raise EOFError
        self._waiting += data

    def _whole(self) -> Iterator[Any]:
        while len(self._waiting) >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(self._waiting)
            end = _LENGTH.size + length
            if len(self._waiting) < end:
                return
            data = bytes(self._waiting[_LENGTH.size : end])
            del self._waiting[:end]
            # A program that the command gave our descriptor to may write what is no message, which says nothing.
            try:
                message = pickle.loads(data)  # noqa: S301 - see the class
            except Exception:  # noqa: BLE001, S112 - each class can fail in its own way
                continue
            yield message


def _identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino
