"""A lock that is kept while it is held: who is told what, and how often."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable

import pytest

from django_runbook.locks import watching
from django_runbook.locks.base import Holder, LockState, Probe
from django_runbook.locks.watching import settle, watched
from tests.patience import eventually


class Answering:
    """A lock that gives these answers, the last one for ever."""

    name = "nightly"

    def __init__(self, *answers: LockState) -> None:
        self.asked: list[threading.Thread] = []
        self._answers = list(answers)

    def keep(self) -> LockState:
        self.asked.append(threading.current_thread())
        return self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]

    def acquire(self) -> Holder | None:
        return None

    def is_held(self) -> bool:
        return True

    def probe(self) -> Probe:
        return Probe.UNKNOWN

    def release(self) -> None:
        """Has nothing to give back."""

    discard = release


def told(answers: Iterable[LockState], *, count: int) -> tuple[list[str], Answering]:
    """What is reported of a lock that is asked so often at the least."""
    found: list[str] = []
    lock = Answering(*answers)
    with watched(
        lock,
        on_retaken=lambda: found.append("retaken"),
        on_lost=lambda: found.append("lost"),
        interval_seconds=0.001,
    ):
        assert eventually(lambda: len(lock.asked) >= count)
    return found, lock


def test_a_lock_is_kept_from_a_thread_of_its_own() -> None:
    found, lock = told([LockState.HELD], count=5)
    assert found == []
    assert threading.current_thread() not in lock.asked
    assert not any(thread.is_alive() for thread in lock.asked)


def test_what_has_happened_is_reported_once() -> None:
    found, _ = told(
        [LockState.HELD, LockState.UNKNOWN, LockState.RETAKEN, LockState.UNKNOWN, LockState.RETAKEN, LockState.HELD],
        count=8,
    )
    assert found == ["retaken", "retaken"]


def test_a_lost_lock_is_asked_no_more() -> None:
    found, lock = told([LockState.HELD, LockState.LOST], count=2)
    assert found == ["lost"]
    time.sleep(0.02)
    assert len(lock.asked) == 2


@pytest.mark.parametrize("kept", [LockState.HELD, LockState.RETAKEN, LockState.LOST])
def test_what_is_unknown_is_waited_for(kept: LockState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_NAP_SECONDS", 0.001)
    assert settle(Answering(LockState.UNKNOWN, LockState.UNKNOWN, kept)) is kept


def test_a_stop_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = Answering(LockState.UNKNOWN)
    assert settle(lock, is_stopping=lambda: len(lock.asked) > 2) is LockState.UNKNOWN
    assert len(lock.asked) == 3
