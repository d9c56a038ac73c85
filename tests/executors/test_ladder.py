"""The ladder by value: which rung is due, and what is sent, also where there is no process yet."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator

import pytest

from django_runbook.executors import call as messages
from django_runbook.executors.channel import Channel
from django_runbook.executors.ladder import Bounds, Cause, Ladder
from django_runbook.process.deadlines import Branch
from django_runbook.process.stopping import Stop

PID = 4242


class Scene:
    """A ladder with what it is given and what it sends."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sent: list[signal.Signals] = []
        monkeypatch.setattr(os, "killpg", lambda pid, number: self.sent.append(number))
        ours, theirs = socket.socketpair()
        self.ours, self.theirs = Channel(ours), Channel(theirs)
        self.stop = Stop()
        self.branch = Branch(self.stop)

    def ladder(self, *, deadline_at: float | None = None, grace_seconds: float = 60.0) -> Ladder:
        return Ladder(
            self.ours,
            Bounds(stop=self.stop, halt=self.branch, deadline_at=deadline_at, grace_seconds=grace_seconds),
        )

    @property
    def told(self) -> list[object]:
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
    ladder = scene.ladder()
    ladder.begin(PID)
    ladder.climb()
    assert (ladder.cause, scene.sent, scene.told) == (None, [], [])


def test_a_stop_is_told_once_and_ends_nobody(scene: Scene) -> None:
    ladder = scene.ladder()
    ladder.begin(PID)
    scene.stop.request()
    ladder.climb()
    ladder.climb()
    assert (ladder.cause, scene.sent, scene.told) == (None, [], [messages.Stop()])


def test_after_the_deadline_comes_sigterm_and_after_the_grace_sigkill(scene: Scene) -> None:
    ladder = scene.ladder(deadline_at=0.0, grace_seconds=0.0)
    ladder.begin(PID)
    ladder.climb()
    assert (ladder.cause, scene.sent, scene.told) == (Cause.TIMEOUT, [signal.SIGTERM], [messages.Stop()])
    ladder.climb()
    ladder.climb()
    assert scene.sent == [signal.SIGTERM, signal.SIGKILL]


def test_within_the_grace_there_is_no_sigkill(scene: Scene) -> None:
    ladder = scene.ladder(deadline_at=0.0)
    ladder.begin(PID)
    ladder.climb()
    ladder.climb()
    assert scene.sent == [signal.SIGTERM]


def test_a_command_that_listens_gets_the_signal_for_its_word(scene: Scene) -> None:
    ladder = scene.ladder()
    ladder.begin(PID)
    ladder.is_listening = True
    scene.branch.cancel("another branch failed")
    ladder.climb()
    assert (ladder.cause, scene.sent, scene.told) == (Cause.HALT, [signal.SIGTERM], [])


def test_what_was_due_before_there_was_a_process_it_gets_as_soon_as_it_is_there(scene: Scene) -> None:
    ladder = scene.ladder(deadline_at=0.0)
    ladder.climb()
    assert (scene.sent, scene.told) == ([], [])
    ladder.begin(PID)
    assert (scene.sent, scene.told) == ([signal.SIGTERM], [messages.Stop()])


def test_the_last_rung_without_a_process_is_the_end(scene: Scene) -> None:
    ladder = scene.ladder(deadline_at=0.0, grace_seconds=0.0)
    ladder.climb()
    assert not ladder.is_at_end
    ladder.climb()
    assert ladder.is_at_end


def test_a_process_without_a_group_of_its_own_is_signalled_by_its_number(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_group(pid: int, number: signal.Signals) -> None:
        raise ProcessLookupError

    monkeypatch.setattr(os, "killpg", no_group)
    monkeypatch.setattr(os, "kill", lambda pid, number: scene.sent.append(number))
    ladder = scene.ladder()
    ladder.begin(PID)
    ladder.kill()
    assert scene.sent == [signal.SIGKILL]
