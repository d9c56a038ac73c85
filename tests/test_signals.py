"""Tests the signals that a project receives."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.dispatch import Signal

from django_runbook import signals
from django_runbook.models import Run
from tests.runner.support import run

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("history")]


@pytest.fixture
def received() -> Any:
    sent: list[tuple[str, str, object]] = []

    def on_started(run_id: str, event: Any, **more: object) -> None:
        sent.append(("started", run_id, event.name))

    def on_step(run_id: str, result: Any, **more: object) -> None:
        sent.append(("step", run_id, result.step_id))

    def on_finished(run_id: str, result: Any, **more: object) -> None:
        sent.append(("finished", run_id, result.status))

    pairs: list[tuple[Signal, Any]] = [
        (signals.run_started, on_started),
        (signals.step_finished, on_step),
        (signals.run_finished, on_finished),
    ]
    for signal, receiver in pairs:
        signal.connect(receiver)
    yield sent
    for signal, receiver in pairs:
        signal.disconnect(receiver)


def test_the_signals_of_a_run_are_sent(tmp_path: Path, received: list[tuple[str, str, object]]) -> None:
    run(tmp_path, "name: Nightly\nsteps: [noop]\n")
    run_id = Run.objects.get().pk
    assert received == [("started", run_id, "Nightly"), ("step", run_id, "noop"), ("finished", run_id, "succeeded")]


def test_an_exception_in_a_receiver_is_printed_and_does_not_end_the_run(tmp_path: Path) -> None:
    def break_down(**more: object) -> None:
        raise ValueError("the receiver is broken")

    signals.step_finished.connect(break_down)
    try:
        ended = run(tmp_path, "steps: [noop, {id: two, command: noop}]")
    finally:
        signals.step_finished.disconnect(break_down)
    assert (ended.exit_code, ended.status) == (0, "succeeded")
    assert ended.errors.count("ValueError: the receiver is broken") == 2
