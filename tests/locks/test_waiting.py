"""Waits for locks: reports, and the end of the wait."""

from __future__ import annotations

import math

import pytest

from django_runbook.exceptions import LockUnavailable
from django_runbook.locks.base import Holder, LockState, Probe
from django_runbook.locks.waiting import LockWait

HOLDER = Holder(host="db1", pid=7)
HELD = f'the lock "nightly" is held by {HOLDER}'
AWAY = "the server is away"


class Answering:
    """Returns these answers, the last one repeatedly: a holder, None if free, or an error."""

    name = "nightly"

    def __init__(self, *answers: Holder | str | None) -> None:
        self._answers = list(answers)

    def acquire(self) -> Holder | None:
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, str):
            raise LockUnavailable(answer)
        return answer

    def is_held(self) -> bool:
        return False

    def keep(self) -> LockState:
        return LockState.LOST

    def probe(self) -> Probe:
        return Probe.UNKNOWN

    def release(self) -> None:
        """Do nothing."""

    discard = release


class Waiter:
    """Waits without sleeping; ``stops_after`` is the number of naps before a stop."""

    def __init__(self, *, stops_after: float = math.inf) -> None:
        self.waits: list[tuple[Holder | None, str]] = []
        self._stops_after = stops_after
        self._nap_count = 0

    def acquire(self, *answers: Holder | str | None, wait_seconds: float = math.inf, is_patient: bool) -> str | None:
        wait = LockWait(
            Answering(*answers),
            wait_seconds=wait_seconds,
            rest=self._rest,
            on_wait=lambda holder, reason: self.waits.append((holder, reason)),
            is_patient=is_patient,
        )
        conflict = wait.acquire()
        assert wait.was_stopped == (self._nap_count >= self._stops_after)
        return conflict

    def _rest(self, seconds: float) -> bool:
        self._nap_count += seconds > 0
        return self._nap_count >= self._stops_after


def test_an_outage_during_the_wait_is_waited_for() -> None:
    waiter = Waiter()
    assert waiter.acquire(HOLDER, HOLDER, AWAY, AWAY, HOLDER, AWAY, None, is_patient=False) is None
    # Each reason is reported once.
    assert waiter.waits == [(HOLDER, ""), (None, AWAY)]


def test_only_a_started_run_waits_for_an_unavailable_store() -> None:
    waiter = Waiter()
    assert waiter.acquire(AWAY, None, wait_seconds=0, is_patient=True) is None
    assert waiter.waits == [(None, AWAY)]
    with pytest.raises(LockUnavailable, match=AWAY):
        Waiter().acquire(AWAY, None, is_patient=False)


def test_a_lasting_outage_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_runbook.locks.base.Patience.answer", LockState.LOST)
    with pytest.raises(LockUnavailable, match=AWAY):
        Waiter().acquire(HOLDER, AWAY, is_patient=True)


@pytest.mark.parametrize(("answer", "why"), [(HOLDER, HELD), (AWAY, AWAY)], ids=["held", "away"])
def test_a_stop_ends_the_wait_and_names_its_reason(answer: Holder | str, why: str) -> None:
    assert Waiter(stops_after=3).acquire(answer, is_patient=True) == why
    assert Waiter(stops_after=0).acquire(answer, is_patient=True) == why


def test_without_time_there_is_no_wait() -> None:
    waiter = Waiter()
    assert waiter.acquire(HOLDER, wait_seconds=0, is_patient=True) == HELD
    assert waiter.waits == []
