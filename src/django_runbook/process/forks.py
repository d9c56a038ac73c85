"""Keeps our signal handlers out of processes that a command forks: with them, a child would not end at SIGTERM."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

# Python's hooks for a fork are those of the whole process and cannot be removed: there is one, for all handlers.
_HANDLERS: list[Callable[..., Any]] = []


def reset_in_children(handler: Callable[..., Any]) -> None:
    """From now on, give forked children the default action for each signal that has this handler."""
    _HANDLERS.append(handler)


def keep_in_children(handler: Callable[..., Any]) -> None:
    """End what `reset_in_children` began."""
    if handler in _HANDLERS:
        _HANDLERS.remove(handler)


def _after_fork() -> None:
    if not _HANDLERS:
        return
    for number in signal.valid_signals():
        if signal.getsignal(number) in _HANDLERS:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    signal.set_wakeup_fd(-1)
    _HANDLERS.clear()


os.register_at_fork(after_in_child=_after_fork)
