"""Tries the contract of all backends: one holder, with a name, and no lock that outlives its process."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from django.db import OperationalError

from django_runbook.exceptions import LockUnavailable
from django_runbook.locks.factory import BACKENDS
from django_runbook.process import django_internals
from tests.locks.backends import DEFINITIONS, EXPIRY_SECONDS, Backend, alias_on, holder_of, is_free, locks
from tests.locks.processes import holding, run_crowd
from tests.patience import eventually


def test_each_backend_of_the_package_is_tried() -> None:
    missing = set(BACKENDS) - {definition.backend for definition in DEFINITIONS.values()}
    assert not missing, f"add a row to DEFINITIONS in tests/locks/backends.py for: {', '.join(sorted(missing))}"


def test_a_lock_has_one_holder_and_names_it(backend: Backend, name: str) -> None:
    first, second = backend.lock(name), backend.lock(name)
    assert (first.name, first.is_held()) == (name, False)
    assert first.acquire() is None
    holder = holder_of(second)
    assert (holder.pid, holder.since[:2], holder.since[-1]) == (os.getpid(), "20", "Z")
    assert holder.host
    assert (first.is_held(), second.is_held()) == (True, False)
    second.release()
    assert first.is_held()
    first.release()
    first.release()
    assert not first.is_held()
    assert second.acquire() is None
    second.release()


def test_locks_of_different_names_are_independent(backend: Backend, name: str) -> None:
    # Names that become equal if a backend folds, truncates or quotes them carelessly.
    names = [
        name,
        name.upper(),
        f"{name} ",
        f"{name}'%s",
        name * 10,
        name * 10 + "!",
        f"{name} ü",
        f"{name} u",
        f"{name} \udcff",
    ]
    locks = [backend.lock(other) for other in names]
    assert [lock.acquire() for lock in locks] == [None] * len(names)
    assert all(lock.is_held() for lock in locks)
    for lock in locks:
        lock.release()


def test_a_held_lock_cannot_be_acquired_again(backend: Backend, name: str) -> None:
    lock = backend.lock(name)
    assert lock.acquire() is None
    with pytest.raises(RuntimeError, match="is held already"):
        lock.acquire()
    lock.release()
    assert is_free(lock)


@pytest.mark.slow
def test_one_of_twenty_concurrent_processes_runs_and_the_others_name_it(backend: Backend, name: str) -> None:
    results = run_crowd(backend, name, count=20)
    winners = [one for one in results if one["code"] == 0]
    assert [one["text"] for one in winners] == ["worked\n"]
    others = [one for one in results if one["code"] != 0]
    assert [one["code"] for one in others] == [75] * 19
    expected = f'CommandError: the lock "{name}" is held by '
    assert all(one["text"].startswith(expected) for one in others), others
    assert all(f"process {winners[0]['pid']} on " in one["text"] for one in others), others
    assert all(", since 20" in one["text"] for one in others), others


@pytest.mark.slow
def test_a_killed_holder_leaves_no_lock(backend: Backend, name: str) -> None:
    lock = backend.lock(name)
    with holding(backend, name) as process:
        assert holder_of(lock).pid == process.pid
        process.kill()
        process.wait()
        if backend.is_expiring:
            assert holder_of(lock).pid == process.pid
        assert eventually(lambda: is_free(lock))


@pytest.mark.slow
def test_a_child_of_the_holder_neither_holds_nor_releases_the_lock(backend: Backend, name: str, tmp_path: Path) -> None:
    end = tmp_path / "end"
    lock = backend.lock(name)
    with holding(backend, name, child_until=end) as process:
        assert holder_of(lock).pid == process.pid
        process.kill()
        process.wait()
        assert eventually(lambda: is_free(lock))
        end.touch()


def test_a_clock_that_is_set_back_by_an_hour_changes_nothing(
    backend: Backend, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = backend.lock(name)
    assert lock.acquire() is None
    clock = time.time
    monkeypatch.setattr(time, "time", lambda: clock() - 3600)
    if backend.is_expiring:
        time.sleep(EXPIRY_SECONDS * 1.2)
    assert lock.is_held()
    assert holder_of(backend.lock(name)).pid == os.getpid()
    lock.release()
    assert is_free(lock)


@pytest.mark.parametrize("vendor", ["postgresql", "mariadb"])
def test_a_database_that_cannot_be_reached_is_not_a_free_lock(vendor: str, name: str) -> None:
    with alias_on(vendor, PORT="1") as alias, pytest.raises(LockUnavailable, match=f'"{alias}" cannot be used: '):
        locks("database", alias=alias)(name).acquire()


@pytest.mark.slow
@pytest.mark.parametrize("vendor", ["postgresql", "mariadb"])
def test_a_connection_that_ends_while_it_is_set_up_is_an_unavailable_lock(
    vendor: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(wrapper: object) -> None:
        # Django raises its own error here, not that of the driver.
        raise OperationalError("lost")

    monkeypatch.setattr(django_internals, "switch_autocommit_on", end)
    with alias_on(vendor) as alias, pytest.raises(LockUnavailable, match=f'"{alias}" cannot be used: lost'):
        locks("database", alias=alias)(name).acquire()


@pytest.mark.slow
def test_a_redis_that_cannot_be_reached_is_not_a_free_lock(name: str) -> None:
    with pytest.raises(LockUnavailable, match=r"in Redis cannot be used: .*127\.0\.0\.1:1"):
        locks("redis", url="redis://127.0.0.1:1")(name).acquire()
