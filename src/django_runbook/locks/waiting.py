"""Waits for a lock that another process holds, or whose store is unavailable."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Final

from django_runbook.exceptions import LockUnavailable
from django_runbook.locks.base import Holder, Lock, LockState, Patience

_POLL_SECONDS: Final = 0.2


class LockWait:
    """Waits until a lock is free, and while its store is unavailable.

    ``rest`` sleeps, and returns True to end the wait; ``remaining_seconds`` bounds the wait too. ``on_wait`` is called
    once with a holder, and once with the reason if the store is unavailable. ``find_other`` returns who else keeps the
    lock taken, although it could be acquired. Without ``is_patient``, the store must be available at first.
    ``was_stopped`` is set if ``rest`` ended the wait.
    """

    def __init__(
        self,
        lock: Lock,
        *,
        wait_seconds: float,
        rest: Callable[[float], bool],
        on_wait: Callable[[Holder | None, str], None],
        find_other: Callable[[], Holder | None] = lambda: None,
        remaining_seconds: Callable[[], float] = lambda: math.inf,
        is_patient: bool,
    ) -> None:
        self.was_stopped = False
        self._lock = lock
        self._rest = rest
        self._on_wait = on_wait
        self._find_other = find_other
        self._remaining_seconds = remaining_seconds
        self._is_patient = is_patient
        self._outage = Patience()
        self._reported: set[bool] = set()
        self._deadline = time.monotonic() + wait_seconds

    def acquire(self) -> str | None:
        """Acquire the lock; return the reason if it was not acquired. Raise LockUnavailable after an outage."""
        while True:
            try:
                holder = self._acquire()
            except LockUnavailable as error:
                end = math.inf if self._has_patience() else -math.inf
                if not self._waits(end, None, reason=str(error)):
                    if self.was_stopped:
                        return str(error)
                    raise
                continue
            if holder is None:
                return None
            self._is_patient = True
            self._outage.end()
            if not self._waits(self._deadline, holder):
                return held_by(self._lock, holder)

    def _acquire(self) -> Holder | None:
        holder = self._lock.acquire()
        if holder is not None:
            return holder
        try:
            holder = self._find_other()
        except BaseException:
            self._lock.release()
            raise
        if holder is not None:
            self._lock.release()
        return holder

    def _has_patience(self) -> bool:
        self._outage.begin()
        return self._is_patient and self._outage.answer is LockState.UNKNOWN

    def _waits(self, deadline: float, holder: Holder | None, *, reason: str = "") -> bool:
        """Wait a moment; return whether to try again."""
        self.was_stopped = self._rest(0)
        remaining = min(deadline - time.monotonic(), self._remaining_seconds(), _POLL_SECONDS)
        if remaining <= 0 or self.was_stopped:
            return False
        if (holder is None) not in self._reported:
            self._reported.add(holder is None)
            self._on_wait(holder, reason)
        self.was_stopped = self._rest(remaining)
        return not self.was_stopped


def held_by(lock: Lock, holder: Holder) -> str:
    """Return the message about a lock that another process holds."""
    return f'the lock "{lock.name}" is held by {holder}'
