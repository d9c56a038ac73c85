"""Holds a lock that expires unless it is renewed: a lease. A thread renews it while the lock is held.

A backend of expiring locks implements `LeaseStore`; `LeaseLock` does the rest.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Final, Protocol

from django_runbook.exceptions import LockUnavailable
from django_runbook.locks.base import PATIENCE_SECONDS, Holder, LockState, Probe
from django_runbook.locks.guarded import GuardedLock

# A store remembers the last holder of a lock for this long, in case an earlier holder has lost the lock.
LAST_HOLDER_SECONDS: Final = 86_400


class LeaseStore(Protocol):
    """Stores the token of one lock until it expires.

    ``expiry_seconds`` is the lifetime of a token after `add` and `renew`. Methods raise one of ``errors`` if the store
    is unavailable; messages to users call it ``label``. Methods are called from several threads, one at a time.
    """

    label: str
    errors: tuple[type[Exception], ...]
    expiry_seconds: float

    def add(self, token: str) -> bool:
        """Store the token unless there is one, in one atomic operation; return whether it was stored."""

    def get(self) -> str | None:
        """Return the stored token; None if there is none."""

    def renew(self, token: str) -> bool:
        """Extend the lifetime of the token; return False if it is not stored any more."""

    def remove(self, token: str) -> None:
        """Remove the token, but not the token of another holder."""

    def swap_last(self, token: str) -> str:
        """Store the token as that of the last holder, for `LAST_HOLDER_SECONDS`; return the previous one or ``""``."""

    def forget_last(self) -> None:
        """Remove the token of the last holder."""

    def uptime_seconds(self) -> float:
        """Return for how long the store has certainly lost no token; 0 if that is unknown."""

    def disconnect(self) -> None:
        """Close idle connections; later calls connect again."""


class LeaseLock(GuardedLock):
    """Holds the lock of a name in a store.

    The token contains the holder, so both appear and disappear together. A process that is suspended for longer than
    the expiry has lost the lock: `is_held` is false from then on, by the monotonic clock of this process, whatever the
    store answers later.
    """

    def __init__(self, name: str, *, store: LeaseStore, what: str = "") -> None:
        super().__init__(name, what=what)
        self.store = store
        self._lease: _Lease | None = None

    def acquire(self) -> Holder | None:
        with self._guard:
            self._refuse_second(self._lease)
            token = f"{uuid.uuid4().hex} {Holder.here(what=self._what).as_json()}"
            with self._unavailable():
                try:
                    return self._acquire(token)
                except self.store.errors:
                    self._give_up(token)
                    raise

    def is_held(self) -> bool:
        if self._is_of_a_parent:
            return False
        with self._guard:
            return self._lease is not None and self._lease.is_good

    def keep(self) -> LockState:
        if self._is_of_a_parent:
            return LockState.LOST
        with self._guard:
            if self._lease is None or self._is_lost:
                return LockState.LOST
            if self._lease.is_good:
                return LockState.HELD
            self._patience.begin()
            try:
                state = self._retake(self._lease)
            except self.store.errors:
                self._give_up(self._lease.token)
                state = self._patience.answer
            if state is LockState.RETAKEN:
                self._patience.end()
            self._is_lost = state is LockState.LOST
            return state

    def probe(self) -> Probe:
        try:
            with self._unavailable():
                if self.store.get() is not None:
                    return Probe.HELD
                uptime_seconds = self.store.uptime_seconds()
        finally:
            self.store.disconnect()
        # A restarted store may have lost its tokens, and their holders are about to acquire the locks again.
        return Probe.FREE if uptime_seconds > PATIENCE_SECONDS else Probe.UNKNOWN

    @property
    def good_until(self) -> float:
        """Return the time, by the monotonic clock, until which the lock is certainly ours."""
        return self._lease.good_until if self._lease is not None else 0.0

    def release(self) -> None:
        if self._is_of_a_parent:
            return
        with self._guard:
            if self._lease is not None:
                lease, self._lease, self._pid = self._lease, None, 0
                self._is_lost = False
                self._patience.end()
                lease.end()
                # No connection stays open if the store is dropped; another lock that is held connects again.
                self.store.disconnect()

    def discard(self) -> None:
        if self._is_of_a_parent:
            return
        with self._guard:
            if self.is_held():
                # If the last holder stays, it expires.
                with contextlib.suppress(*self.store.errors):
                    self.store.forget_last()
            self.release()

    def _acquire(self, token: str) -> Holder | None:
        while True:
            asked_at = time.monotonic()
            if self.store.add(token):
                break
            if (found := self.store.get()) is not None:
                return _holder(found)
            # The lock was released, or it expired, between the two questions.
        previous = self.store.swap_last(token)
        self._lease = _Lease(self.store, token=token, previous=previous, renewed_at=asked_at)
        self._pid = os.getpid()
        return None

    def _retake(self, lease: _Lease) -> LockState:
        """Acquire the lock again, unless another process had it; a store that lost its data has no last holder."""
        lease.end_renewing()
        # If our token is still stored, nobody else had the lock.
        lease.remove()
        if self._acquire(lease.token) is not None:
            return LockState.LOST
        if self._lease is not None and self._lease.previous not in {"", lease.token}:
            self._lease.end()
            return LockState.LOST
        return LockState.RETAKEN

    def _give_up(self, token: str) -> None:
        """Remove a token that may be stored although the answer was lost: nobody would renew it."""
        with contextlib.suppress(*self.store.errors):
            self.store.remove(token)

    @contextlib.contextmanager
    def _unavailable(self) -> Iterator[None]:
        try:
            yield
        except self.store.errors as error:
            raise LockUnavailable(f"the locks in {self.store.label} cannot be used: {error}") from error


class _Lease:
    """Renews a token that was stored, at a third of its lifetime."""

    def __init__(self, store: LeaseStore, *, token: str, previous: str, renewed_at: float) -> None:
        self.token = token
        # The token of the last holder before.
        self.previous = previous
        self.good_until = renewed_at + store.expiry_seconds
        self._store = store
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="runbook-lock", daemon=True)
        self._thread.start()

    @property
    def is_good(self) -> bool:
        return not self._is_over.is_set() and time.monotonic() < self.good_until

    def end(self) -> None:
        # A renewal that is under way could otherwise follow the removal.
        self.end_renewing()
        self.remove()

    def end_renewing(self) -> None:
        self._is_over.set()
        self._thread.join()

    def remove(self) -> None:
        """Remove the token; if the store is unavailable, the token expires."""
        with contextlib.suppress(*self._store.errors):
            self._store.remove(self.token)

    def _renew(self) -> None:
        pause = self._store.expiry_seconds / 3
        while not self._is_over.wait(pause):
            asked_at = time.monotonic()
            if asked_at >= self.good_until:
                break
            try:
                if not self._store.renew(self.token):
                    break
            except self._store.errors:
                # The store may be back in a moment: retry often while the lease may still be ours.
                pause = self._store.expiry_seconds / 30
                continue
            self.good_until = asked_at + self._store.expiry_seconds
            pause = self._store.expiry_seconds / 3
        self._is_over.set()


def _holder(token: str) -> Holder:
    return Holder.of_json(token.partition(" ")[2])
