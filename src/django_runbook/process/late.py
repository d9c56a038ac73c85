"""Prevents late signals from changing the exit code of a process that has finished its work."""

from __future__ import annotations

import atexit
import os
import signal
import time
from collections.abc import Iterable
from types import FrameType


def ignore(numbers: Iterable[int], *, patience_seconds: float) -> None:
    """Ignore these signals for ``patience_seconds``, or until the process has ended; later signals end it."""
    _Late(tuple(numbers), patience_seconds=patience_seconds)


class _Late:
    def __init__(self, numbers: tuple[int, ...], *, patience_seconds: float) -> None:
        self._numbers = numbers
        self._ends_at = time.monotonic() + patience_seconds
        for number in numbers:
            signal.signal(number, self._handle)
        atexit.register(self._ignore_all)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if time.monotonic() >= self._ends_at:
            os._exit(128 + number)

    def _ignore_all(self) -> None:
        # Python finally restores the default actions, with which a signal would replace the exit code.
        for number in self._numbers:
            if signal.getsignal(number) == self._handle:
                signal.signal(number, signal.SIG_IGN)
