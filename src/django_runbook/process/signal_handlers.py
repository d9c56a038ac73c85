"""Installs the handlers of the signals that stop a run, and restores the previous handlers."""

from __future__ import annotations

import signal
from collections.abc import Callable, Collection, Mapping
from types import FrameType
from typing import Any, Final

from django_runbook.process import forks, late, unpatched

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class SignalHandlers:
    """Handles SIGINT, SIGTERM and SIGHUP with one function, in the main thread."""

    def __init__(self, handle: Callable[[int, FrameType | None], None]) -> None:
        self._handle = handle
        self._previous: dict[int, Any] = {}
        self._main_thread = 0

    @property
    def numbers(self) -> Collection[int]:
        """Return the handled signals, also after the previous handlers were restored."""
        return self._previous.keys()

    def install(self) -> None:
        # gevent and eventlet number their greenlets instead of the threads.
        self._main_thread = unpatched.original("_thread", "get_ident")()
        for number in SIGNALS:
            # nohup and background jobs ignore some signals deliberately.
            if signal.getsignal(number) is not signal.SIG_IGN:
                self._previous[number] = signal.signal(number, self._handle)
        forks.reset_in_children(self._handle)

    def restore(self) -> None:
        restore(self._previous)
        forks.keep_in_children(self._handle)

    def ignore_late_signals(self, *, patience_seconds: float) -> None:
        """Ignore signals from now on, because the process is about to end."""
        late.ignore(self._previous, patience_seconds=patience_seconds)
        forks.keep_in_children(self._handle)

    def is_replaced(self, number: int) -> bool:
        """Return whether a command has replaced our handler of this signal."""
        return number in self._previous and signal.getsignal(number) != self._handle

    def wake_main_thread(self) -> int:
        """Signal the main thread, so that our handler runs there; return the number of signals sent."""
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if number in self._previous and signal.getsignal(number) == self._handle:
                signal.pthread_kill(self._main_thread, number)
                return 1
        return 0


def restore(handlers: Mapping[int, Any]) -> None:
    """Restore handlers of signals; None means a handler that was not installed from Python."""
    for number, handler in handlers.items():
        signal.signal(number, handler if handler is not None else signal.SIG_DFL)
