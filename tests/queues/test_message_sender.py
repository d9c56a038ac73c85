"""Messages are sent again until a worker takes their calls, whatever happens to the broker."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connections

from django_runbook.queues import message_sender
from django_runbook.queues.message_sender import MessageSender
from tests.batch.databases import alias_on, run
from tests.patience import wait_until


class PlayedEngine:
    """Notes what is sent, or does something else."""

    def __init__(self, send: Callable[[], object] = lambda: None) -> None:
        self.sent: list[str] = []
        self._send = send

    def send(self, call_id: str, *, queue: str) -> None:
        self._send()
        self.sent.append(call_id)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Any:
    played: Any = SimpleNamespace(now=1000.0)
    played.monotonic = lambda: played.now
    monkeypatch.setattr(message_sender, "time", played)
    return played


def sender_of(engine: Any, failures: list[str]) -> MessageSender:
    return MessageSender(engine=engine, resend_seconds=60, on_failure=failures.append)


@pytest.fixture
def engine() -> PlayedEngine:
    return PlayedEngine()


@pytest.fixture
def sender(engine: PlayedEngine, clock: Any) -> Iterator[MessageSender]:
    made = sender_of(engine, [])
    yield made
    made.close()


def sent_count(engine: PlayedEngine, count: int) -> bool:
    wait_until(lambda: len(engine.sent) >= count, what=f"{count} messages", pause_seconds=0.001)
    return len(engine.sent) == count


def test_a_message_that_nobody_takes_is_sent_again_after_twice_the_time(
    sender: MessageSender, engine: PlayedEngine, clock: Any
) -> None:
    sender.add("c", queue="q")
    for number, seconds in enumerate([60, 120, 240, 480, 600, 600], start=1):
        clock.now += seconds - 1
        sender.send_again_when_due("c", queue="q")
        assert sent_count(engine, number)
        clock.now += 1
        sender.send_again_when_due("c", queue="q")
        assert sent_count(engine, number + 1)


def test_the_message_of_a_released_call_is_expected_again(
    sender: MessageSender, engine: PlayedEngine, clock: Any
) -> None:
    sender.add("c", queue="q")
    for _ in range(5):
        clock.now += 600
        sender.send_again_when_due("c", queue="q")
    assert sent_count(engine, 6)
    sender.note_release("c")
    clock.now += 59
    sender.send_again_when_due("c", queue="q")
    assert sent_count(engine, 6)
    clock.now += 1
    sender.send_again_when_due("c", queue="q")
    assert sent_count(engine, 7)


def test_the_message_of_a_refused_call_is_sent_again_after_a_pause(
    sender: MessageSender, engine: PlayedEngine, clock: Any
) -> None:
    sender.add("c", queue="q")
    sender.note_refusal("c", pause_seconds=4)
    clock.now += 3
    sender.send_again_when_due("c", queue="q")
    assert sent_count(engine, 1)
    clock.now += 1
    sender.send_again_when_due("c", queue="q")
    assert sent_count(engine, 2)


@pytest.mark.slow
def test_an_engine_in_a_database_is_used_again_after_a_restart(
    tmp_path: Path, clock: Any, django_db_blocker: Any
) -> None:
    pids: list[int] = []
    failures: list[str] = []
    with django_db_blocker.unblock(), alias_on("postgresql", tmp_path) as alias:
        engine = PlayedEngine(lambda: pids.append(run(alias, "SELECT pg_backend_pid()")))
        sender = sender_of(engine, failures)
        sender.add("c", queue="q")
        assert sent_count(engine, 1)
        run(alias, f"SELECT pg_terminate_backend({pids[0]})")
        sender.add("d", queue="q")
        wait_until(lambda: failures, what="a failure")
        wait_until(lambda: sender._due["d"][0] < clock.now + 2, what="the time of the next try")
        clock.now += 2
        sender.send_again_when_due("d", queue="q")
        assert sent_count(engine, 2)
        sender.close()
        assert engine.sent == ["c", "d"]
        assert len(failures) == 1
        assert len(set(pids)) == 2
        wait_until(lambda: "runbook-send" not in names(), what="the end of the thread")
        connections[alias].close()


def names() -> set[str]:
    return {thread.name for thread in threading.enumerate()}
