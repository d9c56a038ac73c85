"""A lock of a runbook or a step to the right to go on, or to who has it instead."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

from django_runbook.document.runbook import LockSettings
from django_runbook.exceptions import LockHeld, LockLost
from django_runbook.locks.base import Holder, Lock
from django_runbook.results import ExitCode, Failure
from django_runbook.runner.limits import Halt, Limit

_POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """Somebody else holds the lock."""

    name: str
    holder: Holder

    def __str__(self) -> str:
        return f'the lock "{self.name}" is held by {self.holder}'

    def as_failure(self) -> Failure:
        return _failure(LockHeld, str(self))


def obtain(
    lock: Lock, settings: LockSettings, *, halt: Halt, limit: Limit, on_wait: Callable[[Holder], None]
) -> Conflict | None:
    """Take the lock, as long as ``on_conflict`` waits for it; returns None when it was taken."""
    holder = lock.acquire()
    if holder is None:
        return None
    if settings.on_conflict == "wait":
        on_wait(holder)
        wait = math.inf if settings.wait_seconds is None else settings.wait_seconds
        deadline = time.monotonic() + wait
        while holder is not None and not limit.is_over:
            remaining = min(deadline - time.monotonic(), limit.remaining_seconds, _POLL_SECONDS)
            if remaining <= 0 or halt.wait(remaining):
                break
            holder = lock.acquire()
    return Conflict(name=lock.name, holder=holder) if holder is not None else None


def lost(locks: tuple[Lock, ...]) -> Failure | None:
    """The failure of whoever goes on without a lock that was taken from under it."""
    for lock in locks:
        if not lock.is_held():
            return _failure(LockLost, f'the lock "{lock.name}" got lost, so that another run may be at work')
    return None


def _failure(kind: type[LockHeld | LockLost], message: str) -> Failure:
    names = tuple(name for base in (kind, *kind.__bases__) for name in (base.__name__, f"{base.__module__}.{base.__name__}"))
    return Failure(error_type=kind.__name__, message=message, exit_code=ExitCode.LOCK_HELD, error_names=names)
