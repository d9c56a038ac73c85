"""Keeps locks from a thread of their own while they are held."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from django_runbook import wording
from django_runbook.locks.base import Lock, LockState

INTERVAL_SECONDS: Final = 1.0
_NAP_SECONDS: Final = 0.2


@contextmanager
def watched(
    lock: Lock, *, on_retaken: Callable[[], None], on_lost: Callable[[], None], interval_seconds: float | None = None
) -> Iterator[None]:
    """Call `Lock.keep` about once a second inside the block, and report changes from the watcher thread.

    The watcher ends when the lock is lost.
    """
    is_over = threading.Event()
    interval = INTERVAL_SECONDS if interval_seconds is None else interval_seconds

    def watch() -> None:
        while not is_over.wait(interval):
            match lock.keep():
                case LockState.RETAKEN:
                    on_retaken()
                case LockState.LOST:
                    on_lost()
                    return

    thread = threading.Thread(target=watch, name="runbook-lock-watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def settle(
    lock: Lock, *, is_stopping: Callable[[], bool] = lambda: False, on_wait: Callable[[], None] = lambda: None
) -> LockState:
    """Keep the lock until its state is known, for at most `PATIENCE_SECONDS`.

    Return UNKNOWN only if a stop is requested in the meantime. ``on_wait`` is called once, before the wait.
    """
    is_reported = False
    while (state := lock.keep()) is LockState.UNKNOWN and not is_stopping():
        if not is_reported:
            on_wait()
            is_reported = True
        time.sleep(_NAP_SECONDS)
    return state


def retaken(name: str) -> str:
    """Return what to report of a lock that was acquired again."""
    return wording.lock_retaken(name)


def lost(name: str) -> str:
    """Return the message about a lost lock."""
    return f'the lock "{name}" was lost; another run may have started'
