"""Sends signals after the end of a run."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from django_runbook.process.signal_handlers import SIGNALS
from django_runbook.process.stopping import Stop


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    # The caller of the tests may ignore some signals, as nohup does, which a stop respects.
    before = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_signal_after_the_end_of_a_run_does_not_change_its_exit_code() -> None:
    with Stop(exits=True, force_seconds=60) as stop:
        pass
    for number in SIGNALS:
        signal.raise_signal(number)
    assert not stop.is_requested


def test_a_process_that_does_not_exit_is_ended_by_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    with Stop(exits=True, force_seconds=0):
        pass
    signal.raise_signal(signal.SIGHUP)
    assert codes == [129]
