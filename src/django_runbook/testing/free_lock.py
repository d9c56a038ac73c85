"""Defines a lock that no other process wants."""

from __future__ import annotations

from django_runbook.locks.base import LockState, Probe


class FreeLock:
    """Grants itself at once to each caller, and excludes none."""

    def __init__(self, name: str) -> None:
        self.name = name

    def acquire(self) -> None:
        return None

    def is_held(self) -> bool:
        return True

    def keep(self) -> LockState:
        return LockState.HELD

    def probe(self) -> Probe:
        return Probe.FREE

    def release(self) -> None: ...

    def discard(self) -> None: ...
