"""Tries leases on a store in memory: renewal, loss and outages, without a server."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace

import pytest

from django_runbook.exceptions import LockUnavailable
from django_runbook.locks import lease
from django_runbook.locks.base import PATIENCE_SECONDS, LockState, Probe
from django_runbook.locks.lease import LeaseLock
from tests.patience import eventually


class MemoryStore:
    """Keeps one token, and fails while ``is_away``."""

    label = "memory"
    errors: tuple[type[Exception], ...] = (ConnectionError,)
    expiry_seconds = 0.6

    def __init__(self) -> None:
        self.is_away = False
        self.uptime = 0.0
        self.token: str | None = None
        self.last = ""
        self.renewal_count = 0

    def add(self, token: str) -> bool:
        if self.get() is not None:
            return False
        self.token = token
        return True

    def get(self) -> str | None:
        if self.is_away:
            raise ConnectionError("away")
        return self.token

    def renew(self, token: str) -> bool:
        self.renewal_count += 1
        return self.get() == token

    def remove(self, token: str) -> None:
        if self.get() == token:
            self.token = None

    def swap_last(self, token: str) -> str:
        previous, self.last = self.last, token
        return previous

    def forget_last(self) -> None:
        self.last = ""

    def uptime_seconds(self) -> float:
        return self.uptime

    def disconnect(self) -> None:
        """Do nothing."""


@pytest.fixture(autouse=True)
def time_of_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let time pass only while a lease waits for its next renewal, and many times faster than for us."""
    now = 0.0

    class Event(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            nonlocal now
            now += timeout or 0.0
            time.sleep(0.001)
            return self.is_set()

    monkeypatch.setattr(lease, "threading", SimpleNamespace(Event=Event, Thread=threading.Thread))
    monkeypatch.setattr(lease, "time", SimpleNamespace(monotonic=lambda: now))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def test_a_held_lock_is_renewed_until_it_is_released(store: MemoryStore) -> None:
    lock = LeaseLock("nightly", store=store, what="a test")
    assert lock.acquire() is None
    assert eventually(lambda: store.renewal_count > 3)
    assert (lock.is_held(), lock.keep()) == (True, LockState.HELD)
    holder = LeaseLock("nightly", store=store).acquire()
    assert holder is not None
    assert holder.what == "a test"
    lock.release()
    assert (store.token, lock.is_held()) == (None, False)


def test_a_lost_token_is_stored_again_if_there_was_no_other_holder(store: MemoryStore) -> None:
    lock = LeaseLock("nightly", store=store)
    lock.acquire()
    store.token = None
    assert eventually(lambda: not lock.is_held())
    assert (lock.keep(), lock.keep()) == (LockState.RETAKEN, LockState.HELD)
    lock.release()


def test_a_lock_that_had_another_holder_is_lost(store: MemoryStore) -> None:
    lock, other = LeaseLock("nightly", store=store), LeaseLock("nightly", store=store)
    lock.acquire()
    store.token = None
    other.acquire()
    other.release()
    assert eventually(lambda: not lock.is_held())
    assert (lock.keep(), lock.keep()) == (LockState.LOST, LockState.LOST)
    lock.release()


def test_a_lock_is_kept_through_an_outage(store: MemoryStore) -> None:
    lock = LeaseLock("nightly", store=store)
    lock.acquire()
    store.is_away = True
    assert eventually(lambda: not lock.is_held())
    assert lock.keep() is LockState.UNKNOWN
    store.is_away = False
    assert lock.keep() is LockState.RETAKEN
    lock.release()


def test_a_lasting_outage_loses_the_lock(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = LeaseLock("nightly", store=store)
    lock.acquire()
    store.is_away = True
    assert eventually(lambda: lock.keep() is LockState.UNKNOWN)
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + PATIENCE_SECONDS)
    assert lock.keep() is LockState.LOST
    lock.release()


def test_an_unavailable_store_is_reported(store: MemoryStore) -> None:
    store.is_away = True
    lock = LeaseLock("nightly", store=store)
    for ask in (lock.acquire, lock.probe):
        with pytest.raises(LockUnavailable, match="the locks in memory cannot be used: away"):
            ask()


def test_a_free_lock_proves_something_only_if_the_store_has_lost_no_token(store: MemoryStore) -> None:
    lock = LeaseLock("nightly", store=store)
    assert lock.probe() is Probe.UNKNOWN
    store.uptime = PATIENCE_SECONDS + 1
    assert lock.probe() is Probe.FREE
    lock.acquire()
    assert lock.probe() is Probe.HELD
    lock.discard()
    assert (store.token, store.last) == (None, "")


def test_an_empty_value_in_the_store_is_a_lock_of_an_unknown_holder(store: MemoryStore) -> None:
    store.token = ""
    assert LeaseLock("nightly", store=store).acquire() is not None
