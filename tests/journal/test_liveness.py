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
    """A backend whose locks are in one folder."""

    def __init__(self, directory: Path, *, identity: str = HERE) -> None:
        self.identity = identity
        self._directory = directory

    def __call__(self, name: str) -> FileLock:
        return FileLock(name, directory=self._directory)


def locks_by(backend: Any) -> Locks:
    return Locks(backend, name="own", options={})


def process_state(run: Run, tmp_path: Path) -> ProcessState:
    return process_state_of(run, locks_by(Own(tmp_path)))


def test_a_run_whose_lock_is_held_is_at_work(lock: FileLock, tmp_path: Path) -> None:
    lock.acquire()
    try:
        assert process_state(RUN, tmp_path) is ProcessState.ALIVE
    finally:
        lock.release()


@pytest.mark.django_db
def test_a_run_whose_lock_is_free_is_gone_and_shown_as_interrupted(lock: FileLock, tmp_path: Path) -> None:
    lock.acquire()
    lock.release()
    assert process_state(RUN, tmp_path) is ProcessState.DEAD
    assert displayed_status(RUN, ProcessState.DEAD) == "interrupted"


@pytest.mark.django_db
def test_to_ask_takes_no_lock(lock: FileLock, tmp_path: Path) -> None:
    lock.acquire()
    lock.release()
    process_state(RUN, tmp_path)
    assert lock.acquire() is None
    lock.release()


@pytest.mark.django_db
def test_a_lock_that_was_never_taken_here_says_nothing_however_often_it_is_asked(tmp_path: Path) -> None:
    assert [process_state(RUN, tmp_path) for _ in range(2)] == [ProcessState.UNKNOWN] * 2
    assert displayed_status(RUN, ProcessState.UNKNOWN) == RUNNING
    assert list(tmp_path.iterdir()) == []


@pytest.mark.django_db
def test_a_lock_that_is_free_under_another_backend_says_nothing(lock: FileLock, tmp_path: Path) -> None:
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
    """A backend that cannot be used."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __call__(self, name: str) -> Any:
        raise self._error


class Nameless(Refusing):
    """A backend whose folder is not known either."""

    @property
    def identity(self) -> str:
        raise self._error


def test_a_run_that_ended_is_not_asked() -> None:
    for status in ("failed", "refused"):
        assert (
            process_state_of(Run(id="abc", status=status), locks_by(Nameless(AssertionError()))) is ProcessState.ENDED
        )


@pytest.mark.django_db
@pytest.mark.parametrize("kind", [Refusing, Nameless])
def test_locks_that_cannot_be_asked_say_nothing(kind: type[Refusing]) -> None:
    locks = locks_by(kind(InvalidUsage("no folder")))
    run = Run(id="abc", status=RUNNING, lock_backend=locks.identity if kind is Refusing else HERE)
    assert process_state_of(run, locks) is ProcessState.UNKNOWN


class Basic:
    """A lock of a project that can do only the least, and is free."""

    name = ""

    def acquire(self) -> Holder | None:
        return None

    def is_held(self) -> bool:
        return False

    def release(self) -> None:
        """Has nothing to give back."""


@pytest.mark.django_db
def test_a_free_lock_of_a_kind_that_cannot_tell_proves_nothing() -> None:
    locks = locks_by(lambda name: Basic())
    assert process_state_of(Run(id="abc", status=RUNNING, lock_backend=locks.identity), locks) is ProcessState.UNKNOWN
