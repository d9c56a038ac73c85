"""Receives signals through a pipe, even while a command blocks the main thread or has replaced our handler."""

from __future__ import annotations

import contextlib
import os
import signal

from django_runbook.process import files, unpatched


class SignalPipe:
    """Receives the number of each signal as a byte; bytes that are not signals are messages to the reader.

    A command may close the descriptors, and their numbers may be reused for other files.
    """

    def __init__(self) -> None:
        self._read_end, self._write_end = os.pipe()
        for end in self.descriptors:
            os.set_blocking(end, False)
        self._identities = self._current_identities()
        self._is_abandoned = False
        self._has_unhandled = False

    @property
    def descriptors(self) -> tuple[int, int]:
        return self._read_end, self._write_end

    @property
    def is_intact(self) -> bool:
        return self._current_identities() == self._identities

    def connect(self) -> int:
        """Have Python write each signal into this pipe; return the descriptor that it wrote to before."""
        return signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)

    def write(self, data: bytes) -> bool:
        if self.is_intact:
            with contextlib.suppress(OSError):
                return os.write(self._write_end, data) > 0
        return False

    @property
    def is_drained(self) -> bool:
        """Return whether the reader has handled all bytes so far, which it has when it reads again."""
        if not self.is_intact:
            return False
        is_empty = not unpatched.original("select", "select")([self._read_end], [], [], 0)[0]
        # Asked last: the reader sets it before it takes bytes from the pipe.
        return is_empty and not self._has_unhandled

    def read(self, seconds: float | None) -> bytes | None:
        """Return the bytes that arrive within this time; None if the pipe was closed or abandoned."""
        self._has_unhandled = False
        try:
            is_ready = bool(unpatched.original("select", "select")([self._read_end], [], [], seconds)[0])
            if self._is_abandoned or files.identity(self._read_end) != self._identities[0]:
                return None
            self._has_unhandled = is_ready
            return (os.read(self._read_end, 64) or None) if is_ready else b""
        except (OSError, ValueError):
            return None

    def abandon(self) -> None:
        """Have the reader end, because another pipe has replaced this one."""
        self._is_abandoned = True

    def close(self) -> None:
        os.close(self._write_end)
        os.close(self._read_end)

    def _current_identities(self) -> tuple[object, object]:
        return files.identity(self._read_end), files.identity(self._write_end)
