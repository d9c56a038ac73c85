"""Keeps a held lock: watches it, and marks that processes are running under it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from django_runbook.locks.base import Lock
from django_runbook.locks.presence import Presence, claim_when_free
from django_runbook.locks.watching import watched


class HeldLock:
    """Holds a lock of the run, with the mark that shows others that its processes are running.

    The watcher thread sets ``is_lost`` and calls ``on_retaken``. ``count`` is the number of blocks that share the lock.
    """

    def __init__(self, lock: Lock, presence: Presence) -> None:
        self.lock = lock
        self.presence = presence
        self.is_lost = False
        self.count = 1
        self.on_retaken: Callable[[], None] = lambda: None
        self._watching = contextlib.ExitStack()

    @property
    def name(self) -> str:
        return self.lock.name

    def watch(self) -> None:
        """Start a thread that keeps the lock and records its loss."""
        self._watching.enter_context(watched(self.lock, on_retaken=self._report, on_lost=self._note_loss))

    def close(self, *, is_over: bool = False) -> None:
        """Release the lock; with ``is_over``, discard it, because its name will not be used again."""
        self._watching.close()
        self.presence.close()
        if is_over:
            self.lock.discard()
        else:
            self.lock.release()

    def _report(self) -> None:
        # `on_retaken` may have been replaced since.
        self.on_retaken()

    def _note_loss(self) -> None:
        self.is_lost = True


def hold(
    lock: Lock,
    *,
    namespace: str,
    on_retaken: Callable[[], None],
    is_stopping: Callable[[], bool] = lambda: False,
    on_wait: Callable[[str], None] = lambda holder: None,
) -> HeldLock:
    """Keep an acquired lock, once the processes of its previous holder have ended.

    Raise LockHeld, and release the lock, if they do not end.
    """
    try:
        presence = claim_when_free(lock.name, namespace=namespace, is_stopping=is_stopping, on_wait=on_wait)
    except BaseException:
        lock.release()
        raise
    held = HeldLock(lock, presence)
    held.on_retaken = on_retaken
    held.watch()
    return held
