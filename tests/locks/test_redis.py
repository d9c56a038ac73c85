"""Tries leases in Redis: renewal, loss, and outages."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from django_runbook.exceptions import InvalidUsage, LockUnavailable
from django_runbook.locks.base import PATIENCE_SECONDS, LockState, Probe
from django_runbook.locks.lease import LeaseLock
from django_runbook.locks.redis import RedisStore
from tests.batch.support import read_line
from tests.locks.backends import EXPIRY_SECONDS, backend_of, holder_of, is_free, locks
from tests.locks.processes import holding
from tests.locks.servers import Server, free_port, running
from tests.patience import eventually, scaled
from tests.services import require_program

pytestmark = pytest.mark.slow


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    port = free_port()
    command = [require_program("redis-server"), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with running([*command, "--dir", str(tmp_path)], port=port, directory=tmp_path) as server:
        yield server


@pytest.fixture
def lock(server: Server, name: str) -> Iterator[LeaseLock]:
    lock = lock_on(server, name)
    yield lock
    lock.release()


def lock_on(server: Server, name: str, *, seconds: float = EXPIRY_SECONDS, **options: Any) -> LeaseLock:
    lock = locks("redis", url=f"redis://127.0.0.1:{server.port}", expiry_seconds=seconds, **options)(name)
    assert isinstance(lock, LeaseLock)
    return lock


def test_a_lock_is_held_longer_than_its_expiry(server: Server, lock: LeaseLock, name: str) -> None:
    assert lock.acquire() is None
    time.sleep(EXPIRY_SECONDS * 1.5)
    assert lock.is_held()
    assert holder_of(lock_on(server, name)).pid == os.getpid()
    with redis.Redis(port=server.port) as client:
        # Renewal does not add to the remaining time; otherwise, the lock of a killed holder would live longer.
        (key,) = (key for key in client.scan_iter() if key != last_key(lock))
        assert 0 < client.pttl(key) <= EXPIRY_SECONDS * 1000


def test_a_free_lock_leaves_no_connection_open_and_another_one_is_held(server: Server, name: str) -> None:
    factory = locks("redis", url=f"redis://127.0.0.1:{server.port}", expiry_seconds=EXPIRY_SECONDS)
    one, other = factory(name), factory(f"{name}, another")
    assert (one.acquire(), other.acquire()) == (None, None)
    one.release()
    time.sleep(EXPIRY_SECONDS * 1.5)
    assert other.is_held()
    other.release()
    with redis.Redis(port=server.port) as client:
        assert eventually(lambda: len(client.client_list()) == 1)


def test_a_removed_key_is_a_lost_lock(server: Server, lock: LeaseLock, name: str) -> None:
    assert lock.acquire() is None
    with redis.Redis(port=server.port) as client:
        client.flushall()
    assert eventually(lambda: not lock.is_held())
    # The renewal failed, before the lock could have expired.
    assert lock.good_until > time.monotonic()
    other = lock_on(server, name)
    assert other.acquire() is None
    # The lost lock is not renewed, and releasing it does not release the other one.
    lock.release()
    assert other.is_held()
    assert holder_of(lock_on(server, name)).pid == os.getpid()
    other.release()


def test_a_redis_that_restarts_without_its_keys_has_lost_the_lock(server: Server, lock: LeaseLock, name: str) -> None:
    assert lock.acquire() is None
    server.stop()
    server.start()
    assert eventually(lambda: not lock.is_held())
    assert is_free(lock_on(server, name))


def last_key(lock: LeaseLock) -> bytes:
    assert isinstance(lock.store, RedisStore)
    return lock.store.last_key.encode()


def forget(server: Server) -> None:
    with redis.Redis(port=server.port) as client:
        client.flushall()


def test_a_lost_lock_without_another_holder_is_acquired_again(server: Server, lock: LeaseLock, name: str) -> None:
    assert lock.acquire() is None
    assert lock.keep() is LockState.HELD
    forget(server)
    assert eventually(lambda: not lock.is_held())
    assert [lock.keep(), lock.keep()] == [LockState.RETAKEN, LockState.HELD]
    assert holder_of(lock_on(server, name)).pid == os.getpid()
    # The new lease is renewed too.
    time.sleep(EXPIRY_SECONDS * 1.5)
    assert (lock.is_held(), lock.keep()) == (True, LockState.HELD)
    lock.release()
    assert is_free(lock_on(server, name))


@pytest.mark.parametrize("is_released", [False, True], ids=["held", "released since"])
@pytest.mark.parametrize("loss", ["expired", "data lost"])
def test_a_lock_that_another_holder_has_acquired_is_lost(
    server: Server,
    lock: LeaseLock,
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    is_released: bool,  # noqa: FBT001 - a parameter of the test
    loss: str,
) -> None:
    assert lock.acquire() is None
    if loss == "expired":
        with redis.Redis(port=server.port) as client:
            client.delete(next(key for key in client.scan_iter() if key != last_key(lock)))
    else:
        forget(server)
    other = lock_on(server, name)
    assert other.acquire() is None
    if is_released:
        other.release()
    assert eventually(lambda: not lock.is_held())
    assert [lock.keep(), lock.keep()] == [LockState.LOST] * 2
    assert other.is_held() is not is_released
    lock.release()
    other.release()
    assert is_free(lock_on(server, name))


def test_a_lock_is_acquired_again_after_an_outage_of_redis(server: Server, lock: LeaseLock, name: str) -> None:
    assert lock.acquire() is None
    server.stop()
    assert eventually(lambda: lock.keep() is LockState.UNKNOWN)
    assert not lock.is_held()
    server.start()
    assert lock.keep() is LockState.RETAKEN
    assert (lock.is_held(), holder_of(lock_on(server, name)).pid) == (True, os.getpid())


def test_a_lock_is_acquired_again_after_redis_was_suspended(server: Server, name: str) -> None:
    lock = lock_on(server, name)
    assert lock.acquire() is None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        assert eventually(lambda: lock.keep() is LockState.UNKNOWN)
    finally:
        os.kill(server.pid, signal.SIGCONT)
    assert eventually(lambda: lock.keep() is LockState.RETAKEN)
    lock.release()


def test_a_lock_is_lost_after_an_outage_of_more_than_a_minute(
    server: Server, lock: LeaseLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lock.acquire() is None
    server.stop()
    assert eventually(lambda: lock.keep() is LockState.UNKNOWN)
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + PATIENCE_SECONDS)
    assert lock.keep() is LockState.LOST
    server.start()
    assert lock.keep() is LockState.LOST


def test_a_suspended_process_checks_for_other_holders(
    server: Server, lock: LeaseLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lock.acquire() is None
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + EXPIRY_SECONDS)
    # Redis still has the key, so there was no other holder.
    assert lock.keep() is LockState.RETAKEN
    assert lock.is_held()


def test_a_free_lock_of_a_redis_that_was_just_started_proves_nothing(
    server: Server, lock: LeaseLock, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert lock.probe() is Probe.UNKNOWN
    assert lock.acquire() is None
    assert lock_on(server, name).probe() is Probe.HELD
    lock.discard()
    with redis.Redis(port=server.port) as client:
        assert client.keys() == []
        assert eventually(lambda: len(client.client_list()) == 1)
        since = client.info("server")
    answer = {**since, "uptime_in_seconds": int(PATIENCE_SECONDS) + 1}
    monkeypatch.setattr(redis.Redis, "info", lambda client, section: answer)
    assert lock.probe() is Probe.FREE
    server.stop()
    with pytest.raises(LockUnavailable):
        lock.probe()


def test_a_short_outage_of_redis_changes_nothing(server: Server, name: str) -> None:
    seconds = scaled(4.0)
    lock = lock_on(server, name, seconds=seconds)
    assert lock.acquire() is None
    os.kill(server.pid, signal.SIGSTOP)
    try:
        # The first renewal fails in this time.
        time.sleep(seconds / 2)
        assert lock.is_held()
    finally:
        os.kill(server.pid, signal.SIGCONT)
    time.sleep(seconds * 0.7)
    assert lock.is_held()
    assert holder_of(lock_on(server, name)).pid == os.getpid()
    lock.release()


def test_a_lock_is_not_held_after_its_expiry_during_an_outage(server: Server, lock: LeaseLock) -> None:
    assert lock.acquire() is None
    server.stop()
    assert lock.is_held()
    assert eventually(lambda: not lock.is_held())
    server.start()
    assert not lock.is_held()


def test_a_holder_suspended_for_too_long_has_lost_the_lock(tmp_path: Path, name: str) -> None:
    with backend_of("redis", tmp_path) as backend, holding(backend, name) as process:
        lock = backend.lock(name)
        assert holder_of(lock).pid == process.pid
        os.kill(process.pid, signal.SIGSTOP)
        assert eventually(lambda: lock.acquire() is None)
        os.kill(process.pid, signal.SIGCONT)
        assert read_line(process) == "lost"
        assert lock.is_held()
        lock.release()


def test_time_in_suspension_counts(lock: LeaseLock, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lock.acquire() is None
    clock = time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: clock() + EXPIRY_SECONDS)
    # After a suspension, the check precedes the next renewal.
    assert not lock.is_held()


def test_a_lock_that_cannot_be_released_is_left_to_expire(server: Server, lock: LeaseLock) -> None:
    assert lock.acquire() is None
    server.stop()
    lock.release()
    assert not lock.is_held()


def test_a_lock_is_free_if_the_answer_to_its_acquisition_was_lost(
    server: Server, lock: LeaseLock, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = redis.Redis.set

    def lose(client: redis.Redis, *values: Any, **options: Any) -> None:
        answer(client, *values, **options)
        raise redis.ConnectionError("the connection is gone")

    monkeypatch.setattr(redis.Redis, "set", lose)
    with pytest.raises(LockUnavailable, match="the connection is gone"):
        lock.acquire()
    monkeypatch.undo()
    assert is_free(lock_on(server, name))


def test_a_client_that_decodes_responses_names_the_holder(server: Server, lock: LeaseLock, name: str) -> None:
    assert lock.acquire() is None
    url = f"redis://127.0.0.1:{server.port}?decode_responses=true"
    assert holder_of(locks("redis", url=url)(name)).pid == os.getpid()


def test_prefixes_separate_projects(server: Server, lock: LeaseLock, name: str) -> None:
    assert lock.acquire() is None
    assert is_free(lock_on(server, name, prefix="another project"))


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({}, 'need the option "url", as in "redis://'),
        ({"url": 6379}, 'need the option "url", as in "redis://'),
        ({"url": "http://127.0.0.1"}, 'the option "url" of the redis locks cannot be used: '),
        ({"url": "redis://127.0.0.1", "expiry_seconds": "30"}, "must be a number of seconds, at least 1"),
        ({"url": "redis://127.0.0.1", "expiry_seconds": True}, "must be a number of seconds, at least 1"),
        ({"url": "redis://127.0.0.1", "expiry_seconds": 0.5}, "must be a number of seconds, at least 1"),
        ({"url": "redis://127.0.0.1", "expiry_seconds": float("nan")}, "must be a number of seconds, at least 1"),
        ({"url": "redis://127.0.0.1", "prefix": 1}, 'the option "prefix" of the redis locks must be a string'),
    ],
)
def test_invalid_options_are_refused_before_connecting(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidUsage, match=problem):
        locks("redis", **options)


def test_a_missing_package_is_reported_with_its_installation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(InvalidUsage, match=r"pip install django-runbook\[redis\]"):
        locks("redis", url="redis://127.0.0.1")
