"""A call ends with its run, its worker or its claim, each in its way."""

from __future__ import annotations

import signal
from types import SimpleNamespace
from typing import Any

import pytest

from django_runbook.models.calls import StopLevel
from django_runbook.process.stopping import Stop
from django_runbook.queues import call_halt
from django_runbook.queues.call_halt import CallHalt

GRACE_SECONDS = 8.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    played: Any = SimpleNamespace(now=1000.0)
    played.monotonic = lambda: played.now
    monkeypatch.setattr(call_halt, "time", played)
    return played


def halt_of(*, is_repeatable: bool, stop: Stop | None = None, lock: Any = None) -> CallHalt:
    lock = lock or SimpleNamespace(is_lost=False)
    return CallHalt(stop=stop or Stop(), lock=lock, is_repeatable=is_repeatable, grace_seconds=GRACE_SECONDS)


def states(halt: CallHalt) -> tuple[bool, bool, bool]:
    return halt.is_requested, halt.is_immediate, halt.is_released


def test_a_shutdown_releases_a_call_that_can_be_repeated_and_ends_it_after_its_grace(clock: Any) -> None:
    halt = halt_of(is_repeatable=True)
    assert states(halt) == (False, False, False)
    halt.note_shutdown()
    assert states(halt) == (True, False, True)
    clock.now += GRACE_SECONDS - 1
    halt.note_shutdown()
    assert states(halt) == (True, False, True)
    clock.now += 1
    assert states(halt) == (True, True, True)
    assert halt.reason == "its worker was shut down"


def test_a_shutdown_leaves_another_call_alone(clock: Any) -> None:
    halt = halt_of(is_repeatable=False)
    halt.note_shutdown()
    clock.now += 10 * GRACE_SECONDS
    assert states(halt) == (False, False, False)


@pytest.mark.parametrize("ends_at_signal", [False, True])
def test_the_signal_that_would_end_its_worker_ends_any_call(*, ends_at_signal: bool) -> None:
    stop = Stop()
    nothing: Any = SimpleNamespace(is_lost=False)
    halt = CallHalt(stop=stop, lock=nothing, is_repeatable=False, grace_seconds=1, ends_at_signal=ends_at_signal)
    stop.count(signal.SIGTERM)
    assert states(halt) == (False, ends_at_signal, False)
    stop.request_count = 2
    assert halt.is_immediate
    assert halt.reason == "its worker was shut down"


@pytest.mark.parametrize("level", [StopLevel.AFTER_ITEM, StopLevel.IMMEDIATE])
def test_a_stop_of_the_run_releases_nothing_even_during_a_shutdown(clock: Any, level: StopLevel) -> None:
    halt = halt_of(is_repeatable=True)
    halt.note_shutdown()
    halt.level = level
    clock.now += GRACE_SECONDS
    assert states(halt) == (True, level is StopLevel.IMMEDIATE, False)
    assert halt.reason == "the run was stopped"


@pytest.mark.parametrize("is_claim", [False, True])
def test_a_call_that_another_worker_may_have_ends_at_once(*, is_claim: bool) -> None:
    halt = halt_of(is_repeatable=True, lock=SimpleNamespace(is_lost=not is_claim))
    halt.was_claim_lost = is_claim
    halt.note_shutdown()
    assert states(halt) == (True, True, False)
    assert halt.reason == "the run has given this call up"
