"""Guards the state of a lock object: against its watcher thread, and in processes that are forked from the holder."""

from __future__ import annotations

import os
import threading

from django_runbook.locks.base import Patience


class GuardedLock:
    """Holds the name of a lock, and the state that its watcher and a forked process must not confuse."""

    def __init__(self, name: str, *, what: str) -> None:
        self.name = name
        self._what = what
        self._pid = 0
        self._is_lost = False
        self._patience = Patience()
        # The watcher keeps the lock while the thread that holds it may release it.
        self._guard = threading.RLock()

    @property
    def _is_of_a_parent(self) -> bool:
        """Return whether this process was forked from the holder.

        The guard may never be released here, and no thread keeps the lock.
        """
        return self._pid not in {0, os.getpid()}

    def _refuse_second(self, held: object) -> None:
        if held is not None:
            raise RuntimeError(f'the lock "{self.name}" is held already')
