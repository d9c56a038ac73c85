"""Tries the measures against a command by value."""

from __future__ import annotations

import time

import pytest

from django_runbook.process import exits
from django_runbook.process.interruption import RAISE_AGAIN_SECONDS, Interruption, Shield


def started(*, force_seconds: float = 60.0, exits: bool = False) -> tuple[Interruption, float]:
    """Return an interruption with a command, and when that began."""
    interruption = Interruption(force_seconds=force_seconds, exits=exits)
    interruption.begin_command(request_count=0)
    assert interruption.command_began_at is not None
    return interruption, interruption.command_began_at


def test_a_command_without_statements_is_interrupted_immediately() -> None:
    interruption, began_at = started()
    assert not interruption.take_raise()
    assert interruption.escalate(began_at, cancel=lambda: 0, exit_code=1)
    assert (interruption.is_ending, interruption.take_raise()) == (True, True)


def test_a_canceled_statement_has_a_moment_to_end_the_command() -> None:
    interruption, began_at = started()
    assert not interruption.escalate(began_at, cancel=lambda: 1, exit_code=1)
    assert (interruption.is_ending, interruption.take_raise()) == (True, False)


def test_nothing_is_raised_under_a_shield() -> None:
    interruption, began_at = started()
    interruption.escalate(began_at, cancel=None, exit_code=1)
    with Shield(interruption):
        assert not interruption.take_raise()
    assert interruption.take_raise()


def test_several_signals_at_once_raise_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    interruption, began_at = started()
    interruption.escalate(began_at, cancel=None, exit_code=1)
    # The exception is on its way out of the command when the second and the third signal arrive.
    assert [interruption.take_raise() for _ in range(3)] == [True, False, False]
    # A command that has caught it gets it again.
    now[0] += RAISE_AGAIN_SECONDS
    assert interruption.take_raise()


def test_nothing_is_raised_after_the_command_has_ended() -> None:
    interruption, began_at = started()
    interruption.escalate(began_at, cancel=None, exit_code=1)
    interruption.end_command()
    assert not interruption.take_raise()


def test_a_command_that_has_ended_in_the_meantime_is_not_interrupted() -> None:
    interruption, began_at = started()

    def cancel() -> int:
        interruption.end_command()
        interruption.begin_command(request_count=1)
        return 0

    assert not interruption.escalate(began_at, cancel=cancel, exit_code=1)
    assert not interruption.is_ending


@pytest.mark.parametrize("owns_process", [True, False])
def test_the_process_exits_if_the_command_does_not_end(monkeypatch: pytest.MonkeyPatch, owns_process: bool) -> None:  # noqa: FBT001 - a parameter of the test
    codes: list[int] = []
    monkeypatch.setattr(exits, "leave", codes.append)
    interruption, began_at = started(force_seconds=0.0, exits=owns_process)
    interruption.escalate(began_at, cancel=None, exit_code=143)
    assert codes == ([143] if owns_process else [])
