"""Sends messages between the process of a run and that of a step: values of ours, whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import pickle
import struct
import threading

# Not the public module: gevent and eventlet replace its class, and theirs do not block.
from _socket import MSG_DONTWAIT, socket, socketpair
from collections.abc import Iterator
from typing import Any, Final

_LENGTH: Final = struct.Struct("!Q")
_CHUNK: Final = 256 * 1024


def socket_pair() -> tuple[socket, socket]:
    """Make two connected sockets that block, whatever the default timeout of the process is."""
    pair = socketpair()
    for end in pair:
        end.settimeout(None)
    return pair


class Channel:
    """Sends and receives over one end of a pair of sockets.

    Both ends run code of the same project, so that what they pickle can be trusted. The sockets block: a default
    timeout, which may be set at any time, has no effect on them.
    """

    def __init__(self, end: socket) -> None:
        end.settimeout(None)
        self._socket = end
        # A command can close our descriptor, and its number may become that of a file of its own.
        self._identity = _identity(end.fileno())
        self._waiting = bytearray()
        # The threads of a command report at the same time.
        self._lock = threading.Lock()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: object) -> None:
        """Send a message, and wait while the other end is slow; raise OSError if it is gone."""
        data = pickle.dumps(message)
        with self._lock:
            self._check()
            self._socket.sendall(_LENGTH.pack(len(data)) + data)

    def receive(self) -> Any:
        """Wait for the next message; raise EOFError if the other end is gone."""
        while True:
            for message in self._whole():
                return message
            self._read()

    def receive_waiting(self) -> Iterator[Any]:
        """Yield the messages that are complete, without waiting; raise EOFError after the last one.

        For callers that wait with `select`: a process that was halted in the middle of a message blocks nobody.
        """
        is_over = False
        try:
            self._read(MSG_DONTWAIT)
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
            # A program that the command gave our descriptor to may write something else, which is ignored.
            try:
                message = pickle.loads(data)  # noqa: S301 - see the class
            except Exception:  # noqa: BLE001, S112 - each class can fail in its own way
                continue
            yield message


def _identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino
