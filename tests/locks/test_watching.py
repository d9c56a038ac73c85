"""Watches held locks: reports, and the end of the watch."""

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
    """Returns these answers, the last one repeatedly."""

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
        """Do nothing."""

    discard = release


def reports_of(answers: Iterable[LockState], *, count: int) -> tuple[list[str], Answering]:
    """Watch a lock until it was kept ``count`` times; return the reports."""
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


def test_a_lock_is_kept_from_a_separate_thread() -> None:
    found, lock = reports_of([LockState.HELD], count=5)
    assert found == []
    assert threading.current_thread() not in lock.asked
    assert not any(thread.is_alive() for thread in lock.asked)


def test_each_change_is_reported_once() -> None:
    found, _ = reports_of(
        [LockState.HELD, LockState.UNKNOWN, LockState.RETAKEN, LockState.UNKNOWN, LockState.RETAKEN, LockState.HELD],
        count=8,
    )
    assert found == ["retaken", "retaken"]


def test_a_lost_lock_is_not_kept_any_more() -> None:
    found, lock = reports_of([LockState.HELD, LockState.LOST], count=2)
    assert found == ["lost"]
    time.sleep(0.02)
    assert len(lock.asked) == 2


@pytest.mark.parametrize("kept", [LockState.HELD, LockState.RETAKEN, LockState.LOST])
def test_an_unknown_state_is_waited_for(kept: LockState, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_NAP_SECONDS", 0.001)
    assert settle(Answering(LockState.UNKNOWN, LockState.UNKNOWN, kept)) is kept


def test_a_stop_ends_the_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_NAP_SECONDS", 0.001)
    lock = Answering(LockState.UNKNOWN)
    assert settle(lock, is_stopping=lambda: len(lock.asked) > 2) is LockState.UNKNOWN
    assert len(lock.asked) == 3
