"""Decides when a command that does not stop is interrupted."""

from __future__ import annotations

import time

import pytest

from django_runbook.process import exits
from django_runbook.process.interruption import Interruption, Shield


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def ending() -> Interruption:
    interruption = Interruption(force_seconds=2.0, exits=False)
    interruption.begin_command(request_count=1)
    assert interruption.command_began_at is not None
    assert interruption.escalate(interruption.command_began_at, cancel=None, exit_code=143)
    return interruption


def test_several_signals_at_once_raise_once(clock: list[float]) -> None:
    interruption = ending()
    # The exception is on its way out of the command when the second and the third signal come.
    assert [interruption.take_raise() for _ in range(3)] == [True, False, False]
    clock[0] += 0.1
    assert not interruption.take_raise()
    # A command that has caught it gets it again.
    clock[0] += 0.2
    assert interruption.take_raise()


def test_nothing_is_raised_after_the_command_has_ended(clock: list[float]) -> None:
    interruption = ending()
    interruption.end_command()
    clock[0] += 10
    assert not interruption.take_raise()
    interruption.begin_command(request_count=2)
    assert not interruption.take_raise()


def test_a_shield_delays_the_exception(clock: list[float]) -> None:
    interruption = ending()
    with Shield(interruption):
        assert not interruption.take_raise()
    assert interruption.take_raise()


def test_canceled_statements_get_time_to_end_the_command_by_themselves(clock: list[float]) -> None:
    interruption = Interruption(force_seconds=2.0, exits=False)
    interruption.begin_command(request_count=1)
    assert interruption.command_began_at is not None
    assert not interruption.escalate(interruption.command_began_at, cancel=lambda: 1, exit_code=143)
    assert not interruption.take_raise()
    clock[0] += 0.7
    assert interruption.take_raise()


def test_a_command_that_has_ended_in_the_meantime_is_not_interrupted() -> None:
    interruption = Interruption(force_seconds=2.0, exits=False)
    interruption.begin_command(request_count=1)
    assert interruption.command_began_at is not None

    def cancel() -> int:
        interruption.end_command()
        interruption.begin_command(request_count=1)
        return 0

    assert not interruption.escalate(interruption.command_began_at, cancel=cancel, exit_code=143)
    assert not interruption.is_ending


@pytest.mark.parametrize("owns_process", [True, False])
def test_the_process_exits_if_the_command_does_not_end(
    monkeypatch: pytest.MonkeyPatch,
    owns_process: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    codes: list[int] = []
    monkeypatch.setattr(exits, "leave", codes.append)
    interruption = Interruption(force_seconds=0.0, exits=owns_process)
    interruption.begin_command(request_count=1)
    assert interruption.command_began_at is not None
    interruption.escalate(interruption.command_began_at, cancel=None, exit_code=143)
    assert codes == ([143] if owns_process else [])
