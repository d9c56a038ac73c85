"""Sends messages between the process of a run and that of a step."""

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
    """Make two connected sockets that block, whatever the default timeout."""
    pair = socketpair()
    for end in pair:
        end.settimeout(None)
    return pair


class Channel:
    """Sends and receives messages over one end of a pair of sockets.

    Both ends run code of the same project, so pickled messages can be trusted. The sockets block: a default timeout,
    which a command may set at any time, has no effect on them.
    """

    def __init__(self, end: socket) -> None:
        end.settimeout(None)
        self._socket = end
        # A command may close our descriptor, and the number may belong to another file later.
        self._identity = _identity(end.fileno())
        self._waiting = bytearray()
        # Threads of a command may report concurrently.
        self._lock = threading.Lock()

    def fileno(self) -> int:
        return self._socket.fileno()

    def send(self, message: object) -> None:
        """Send a message, and wait while the other end is slow; raise OSError if it is closed."""
        data = pickle.dumps(message)
        with self._lock:
            self._check()
            self._socket.sendall(_LENGTH.pack(len(data)) + data)

    def receive(self) -> Any:
        """Wait for the next message; raise EOFError if the other end is closed."""
        while True:
            for message in self._whole():
                return message
            self._read()

    def receive_waiting(self) -> Iterator[Any]:
        """Yield the complete messages without waiting; raise EOFError after the last one.

        A process that was suspended in the middle of a message does not block the caller, which waits with `select`.
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
        """Return whether the descriptor still belongs to the socket."""
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
            # A program that has inherited our descriptor may write other data, which is ignored.
            try:
                message = pickle.loads(data)  # noqa: S301 - see the class
            except Exception:  # noqa: BLE001, S112 - unpickling can raise any exception
                continue
            yield message


def _identity(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino
