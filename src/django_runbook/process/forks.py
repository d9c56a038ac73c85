"""Resets our signal handlers in processes that a command forks, which would otherwise ignore SIGTERM."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

# Fork hooks belong to the whole process and cannot be removed, so one hook serves all handlers.
_HANDLERS: list[Callable[..., Any]] = []


class _Masks(threading.local):
    """Holds the signals that a thread had blocked before it forked."""

    def __init__(self) -> None:
        self.before: list[set[Any]] = []


_MASKS = _Masks()


def reset_in_children(handler: Callable[..., Any]) -> None:
    """Give forked children the default action for each signal that has this handler, from now on."""
    _HANDLERS.append(handler)


def keep_in_children(handler: Callable[..., Any]) -> None:
    """Undo `reset_in_children`."""
    if handler in _HANDLERS:
        _HANDLERS.remove(handler)


def _ours() -> list[int]:
    return [number for number in signal.valid_signals() if signal.getsignal(number) in _HANDLERS]


def _before() -> None:
    # A signal that reaches the child before its handlers are reset would be counted as ours.
    _MASKS.before.append(signal.pthread_sigmask(signal.SIG_BLOCK, _ours() if _HANDLERS else ()))


def _after_in_parent() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _MASKS.before.pop())


def _after_in_child() -> None:
    if _HANDLERS:
        for number in _ours():
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        signal.set_wakeup_fd(-1)
        _HANDLERS.clear()
    signal.pthread_sigmask(signal.SIG_SETMASK, _MASKS.before.pop())


os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
