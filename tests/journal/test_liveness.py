from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from django_runbook.exceptions import InvalidUsage
from django_runbook.journal.liveness import ProcessState, displayed_status, process_state_of
from django_runbook.locks.base import Holder
from django_runbook.locks.factory import Locks
from django_runbook.locks.file import FileLock
from django_runbook.models import RUNNING, Run

HERE = "the locks of this test"
RUN = Run(id="abc", status=RUNNING, lock_backend=HERE)


@pytest.fixture
def lock(tmp_path: Path) -> FileLock:
    return FileLock(RUN.lock_name, directory=tmp_path)


class Own:
    """Keeps its locks in one folder."""

    def __init__(self, directory: Path, *, identity: str = HERE) -> None:
        self.identity = identity
        self._directory = directory

    def __call__(self, name: str) -> FileLock:
        return FileLock(name, directory=self._directory)


def locks_by(backend: Any) -> Locks:
    return Locks(backend, name="own", options={})


def process_state(run: Run, tmp_path: Path) -> ProcessState:
    return process_state_of(run, locks_by(Own(tmp_path)))


def test_a_run_with_a_held_lock_is_alive(lock: FileLock, tmp_path: Path) -> None:
    lock.acquire()
    try:
        assert process_state(RUN, tmp_path) is ProcessState.ALIVE
    finally:
        lock.release()


@pytest.mark.django_db
def test_a_run_with_a_free_lock_is_dead_and_displayed_as_interrupted(lock: FileLock, tmp_path: Path) -> None:
    lock.acquire()
    lock.release()
    assert process_state(RUN, tmp_path) is ProcessState.DEAD
    assert displayed_status(RUN, ProcessState.DEAD) == "interrupted"


@pytest.mark.django_db
def test_a_probe_does_not_acquire_the_lock(lock: FileLock, tmp_path: Path) -> None:
    lock.acquire()
    lock.release()
    process_state(RUN, tmp_path)
    assert lock.acquire() is None
    lock.release()


@pytest.mark.django_db
def test_a_lock_that_was_never_held_on_this_host_is_unknown(tmp_path: Path) -> None:
    assert [process_state(RUN, tmp_path) for _ in range(2)] == [ProcessState.UNKNOWN] * 2
    assert displayed_status(RUN, ProcessState.UNKNOWN) == RUNNING
    assert list(tmp_path.iterdir()) == []


@pytest.mark.django_db
def test_a_free_lock_of_another_backend_is_unknown(lock: FileLock, tmp_path: Path) -> None:
    lock.acquire()
    lock.release()
    for identity in ("another backend", ""):
        assert process_state_of(RUN, locks_by(Own(tmp_path, identity=identity))) is ProcessState.UNKNOWN
    lock.acquire()
    try:
        assert process_state_of(RUN, locks_by(Own(tmp_path, identity="another backend"))) is ProcessState.UNKNOWN
    finally:
        lock.release()


class Refusing:
    """Refuses to make a lock."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __call__(self, name: str) -> Any:
        raise self._error


class Nameless(Refusing):
    """Refuses to name its locks."""

    @property
    def identity(self) -> str:
        raise self._error


def test_the_lock_of_an_ended_run_is_not_probed() -> None:
    for status in ("failed", "refused"):
        assert (
            process_state_of(Run(id="abc", status=status), locks_by(Nameless(AssertionError()))) is ProcessState.ENDED
        )


@pytest.mark.django_db
@pytest.mark.parametrize("kind", [Refusing, Nameless])
def test_a_lock_that_cannot_be_probed_is_unknown(kind: type[Refusing]) -> None:
    locks = locks_by(kind(InvalidUsage("no folder")))
    run = Run(id="abc", status=RUNNING, lock_backend=locks.identity if kind is Refusing else HERE)
    assert process_state_of(run, locks) is ProcessState.UNKNOWN


class Basic:
    """Implements the minimum of a lock, which is free."""

    name = ""

    def acquire(self) -> Holder | None:
        return None

    def is_held(self) -> bool:
        return False

    def release(self) -> None:
        """Releases nothing."""


@pytest.mark.django_db
def test_a_free_lock_without_proof_of_death_is_unknown() -> None:
    locks = locks_by(lambda name: Basic())
    assert process_state_of(Run(id="abc", status=RUNNING, lock_backend=locks.identity), locks) is ProcessState.UNKNOWN
