from __future__ import annotations

from pathlib import Path

import pytest

from django_runbook.exceptions import InvalidUsage
from django_runbook.journal.liveness import Life, life_of, shown_status
from django_runbook.locks.base import Lock
from django_runbook.locks.file import FileLock
from django_runbook.models import RUNNING, Run

RUN = Run(id="abc", status=RUNNING)


@pytest.fixture
def lock(tmp_path: Path) -> FileLock:
    return FileLock(RUN.lock_name, directory=tmp_path)


def life(run: Run, tmp_path: Path) -> Life:
    return life_of(run, lambda name: FileLock(name, directory=tmp_path))


def test_a_run_whose_lock_is_held_is_at_work(lock: FileLock, tmp_path: Path) -> None:
    lock.acquire()
    try:
        assert life(RUN, tmp_path) is Life.AT_WORK
    finally:
        lock.release()


@pytest.mark.django_db
def test_a_run_whose_lock_is_free_is_gone_and_shown_as_interrupted(lock: FileLock, tmp_path: Path) -> None:
    lock.acquire()
    lock.release()
    assert life(RUN, tmp_path) is Life.GONE
    assert shown_status(RUN, Life.GONE) == "interrupted"


@pytest.mark.django_db
def test_to_ask_takes_no_lock(lock: FileLock, tmp_path: Path) -> None:
    lock.acquire()
    lock.release()
    life(RUN, tmp_path)
    assert lock.acquire() is None
    lock.release()


@pytest.mark.django_db
def test_a_lock_that_was_never_taken_here_says_nothing_however_often_it_is_asked(tmp_path: Path) -> None:
    assert [life(RUN, tmp_path) for _ in range(2)] == [Life.UNKNOWN] * 2
    assert shown_status(RUN, Life.UNKNOWN) == RUNNING
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_ended_is_not_asked() -> None:
    def refuse(name: str) -> Lock:
        raise AssertionError(name)

    assert life_of(Run(id="abc", status="failed"), refuse) is Life.ENDED


@pytest.mark.django_db
def test_locks_that_cannot_be_asked_say_nothing() -> None:
    def refuse(name: str) -> Lock:
        raise InvalidUsage("no folder")

    assert life_of(RUN, refuse) is Life.UNKNOWN
