"""Tries the escalation by value: due measures, sent messages and signals, with and without a process."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from django_runbook.executors import escalation, messages
from django_runbook.executors.channel import Channel, socket_pair
from django_runbook.executors.escalation import GIVE_UP_SECONDS, Bounds, Cause, Escalation
from django_runbook.process.deadlines import Branch, Limit
from django_runbook.process.stopping import Stop

PID, KEEPER = 4242, 4243


class Scene:
    """Records what an escalation sends, and has its clock."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._passed_seconds = 0.0
        began_at = time.monotonic()
        monkeypatch.setattr(escalation, "time", SimpleNamespace(monotonic=lambda: began_at + self._passed_seconds))
        self.sent: list[signal.Signals] = []
        self.sent_to_keeper: list[signal.Signals] = []
        monkeypatch.setattr(os, "killpg", lambda pid, number: self.sent.append(number))
        monkeypatch.setattr(os, "kill", lambda pid, number: self.sent_to_keeper.append(number))
        ours, theirs = socket_pair()
        self.ours, self.theirs = Channel(ours), Channel(theirs)
        self.stop = Stop()
        self.branch = Branch(self.stop, grace_seconds=60.0)

    def pass_time(self, seconds: float) -> None:
        self._passed_seconds += seconds

    def escalation(self, *, is_over: bool = False, grace_seconds: float = 60.0) -> Escalation:
        limit = Limit().within(0.0, owner="a test") if is_over else Limit()
        bounds = Bounds(
            stop=self.stop,
            halt=self.branch,
            limit=limit,
            timeout_seconds=None,
            owner="a test",
            grace_seconds=grace_seconds,
        )
        return Escalation(self.ours, bounds)

    @property
    def messages(self) -> list[object]:
        try:
            return list(self.theirs.receive_waiting())
        except EOFError:
            return []


@pytest.fixture
def scene(monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    one = Scene(monkeypatch)
    yield one
    one.ours.close()
    one.theirs.close()


def test_nothing_is_sent_while_nothing_is_due(scene: Scene) -> None:
    escalation = scene.escalation()
    escalation.attach(PID, keeper_pid=KEEPER)
    escalation.advance()
    assert (escalation.cause, scene.sent, scene.messages) == (None, [], [])


def test_a_stop_is_requested_once_and_ends_nothing(scene: Scene) -> None:
    escalation = scene.escalation()
    escalation.attach(PID, keeper_pid=KEEPER)
    scene.stop.request()
    escalation.advance()
    escalation.advance()
    assert (escalation.cause, scene.sent, scene.messages) == (None, [], [messages.StopRequest(number=signal.SIGTERM)])


def test_sigterm_follows_the_deadline_and_sigkill_the_grace_period(scene: Scene) -> None:
    escalation = scene.escalation(is_over=True, grace_seconds=0.0)
    escalation.attach(PID, keeper_pid=KEEPER)
    escalation.advance()
    assert (escalation.cause, scene.sent, scene.messages) == (
        Cause.TIMEOUT,
        [signal.SIGTERM],
        [messages.EndRequest(number=signal.SIGTERM, is_forced=False)],
    )
    escalation.advance()
    escalation.advance()
    assert scene.sent == [signal.SIGTERM, signal.SIGKILL]


def test_a_suspended_keeper_of_a_killed_process_is_continued(scene: Scene) -> None:
    escalation = scene.escalation(is_over=True)
    escalation.attach(PID, keeper_pid=KEEPER)
    escalation.advance()
    assert scene.sent_to_keeper == []
    escalation.kill()
    assert scene.sent_to_keeper == [signal.SIGCONT]


def test_a_process_is_killed_once_and_given_up_later(scene: Scene) -> None:
    escalation = scene.escalation()
    escalation.attach(PID, keeper_pid=KEEPER)
    escalation.kill()
    assert not escalation.is_at_end
    scene.pass_time(GIVE_UP_SECONDS + 60)
    escalation.kill()
    assert escalation.is_at_end
    assert scene.sent == [signal.SIGKILL]


def test_within_the_grace_there_is_no_sigkill(scene: Scene) -> None:
    escalation = scene.escalation(is_over=True)
    escalation.attach(PID, keeper_pid=KEEPER)
    escalation.advance()
    escalation.advance()
    assert scene.sent == [signal.SIGTERM]


def test_a_listening_command_is_asked_to_stop_before_it_is_ended(scene: Scene) -> None:
    escalation = scene.escalation(is_over=True, grace_seconds=0.2)
    escalation.attach(PID, keeper_pid=KEEPER)
    escalation.start_clock(is_listening=True)
    escalation.advance()
    assert (escalation.cause, scene.sent, scene.messages) == (
        Cause.TIMEOUT,
        [],
        [messages.StopRequest(number=signal.SIGTERM)],
    )
    scene.pass_time(0.16)
    escalation.advance()
    assert (scene.sent, scene.messages) == (
        [signal.SIGTERM],
        [messages.EndRequest(number=signal.SIGTERM, is_forced=True)],
    )
    scene.pass_time(0.05)
    escalation.advance()
    assert scene.sent == [signal.SIGTERM, signal.SIGKILL]


def test_a_command_that_handles_sigterm_has_most_of_the_grace_before_it_is_forced(scene: Scene) -> None:
    escalation = scene.escalation(is_over=True, grace_seconds=0.2)
    escalation.attach(PID, keeper_pid=KEEPER)
    escalation.advance()
    scene.pass_time(0.16)
    escalation.advance()
    ends = [messages.EndRequest(number=signal.SIGTERM, is_forced=is_forced) for is_forced in (False, True)]
    assert (scene.sent, scene.messages) == ([signal.SIGTERM], ends)


def test_a_canceled_branch_ends_its_command(scene: Scene) -> None:
    escalation = scene.escalation()
    escalation.attach(PID, keeper_pid=KEEPER)
    scene.branch.cancel("another branch failed")
    escalation.advance()
    assert (escalation.cause, scene.sent) == (Cause.HALT, [signal.SIGTERM])


def test_the_timeout_of_a_step_counts_from_its_start(scene: Scene) -> None:
    bounds = Bounds(
        stop=scene.stop, halt=scene.stop, limit=Limit(), timeout_seconds=0.0, owner="a test", grace_seconds=60.0
    )
    escalation = Escalation(scene.ours, bounds)
    escalation.attach(PID, keeper_pid=KEEPER)
    escalation.advance()
    assert escalation.cause is None
    escalation.start_clock(is_listening=False)
    escalation.advance()
    assert escalation.cause is Cause.TIMEOUT


def test_a_second_request_ends_the_command_with_the_signal_that_came(scene: Scene) -> None:
    escalation = scene.escalation()
    escalation.attach(PID, keeper_pid=KEEPER)
    scene.stop.request(signal.SIGINT)
    scene.stop.end()
    escalation.advance()
    assert (scene.sent, scene.messages) == (
        [signal.SIGTERM],
        [messages.EndRequest(number=signal.SIGINT, is_forced=True)],
    )


def test_a_process_that_does_not_end_is_given_up(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    escalation = scene.escalation()
    escalation.attach(PID, keeper_pid=KEEPER)
    escalation.kill()
    assert not escalation.is_at_end
    monkeypatch.setattr("django_runbook.executors.escalation.GIVE_UP_SECONDS", 0.0)
    assert escalation.is_at_end


def test_measures_due_before_the_process_exists_are_taken_when_it_does(scene: Scene) -> None:
    escalation = scene.escalation(is_over=True)
    escalation.advance()
    assert (scene.sent, scene.messages) == ([], [])
    escalation.attach(PID, keeper_pid=KEEPER)
    assert (scene.sent, scene.messages) == (
        [signal.SIGTERM],
        [messages.EndRequest(number=signal.SIGTERM, is_forced=False)],
    )


def test_the_last_measure_without_a_process_is_the_end(scene: Scene) -> None:
    escalation = scene.escalation(is_over=True, grace_seconds=0.0)
    escalation.advance()
    assert not escalation.is_at_end
    escalation.advance()
    assert escalation.is_at_end


def test_a_process_without_a_group_is_signaled_by_its_pid(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_group(pid: int, number: signal.Signals) -> None:
        raise ProcessLookupError

    monkeypatch.setattr(os, "killpg", no_group)
    killed: list[tuple[int, signal.Signals]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))
    escalation = scene.escalation()
    escalation.attach(PID, keeper_pid=KEEPER)
    escalation.kill()
    assert killed == [(KEEPER, signal.SIGCONT), (PID, signal.SIGKILL)]
