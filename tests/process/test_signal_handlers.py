"""Installs the handlers of a stop, and restores those of the host."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from django_runbook.process.signal_handlers import SIGNALS, SignalHandlers, restore
from django_runbook.process.stopping import Stop


def test_the_host_of_a_run_gets_its_handlers_back() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with Stop():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    handlers = SignalHandlers(lambda number, frame: None)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        handlers.install()
        assert signal.SIGHUP not in handlers.numbers
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        handlers.restore()
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_handler_of_a_command_is_detected_and_not_woken(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    # Signals that are ignored, as in a background job, are not handled.
    before: dict[int, Any] = {number: signal.signal(number, signal.SIG_DFL) for number in SIGNALS}
    monkeypatch.setattr(signal, "pthread_kill", lambda thread, number: sent.append(number))
    handlers = SignalHandlers(lambda number, frame: None)
    handlers.install()
    try:
        assert (handlers.is_replaced(signal.SIGTERM), handlers.wake_main_thread()) == (False, 1)
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        assert handlers.is_replaced(signal.SIGTERM)
        handlers.wake_main_thread()
        assert sent == [signal.SIGTERM, signal.SIGINT]
    finally:
        handlers.restore()
        restore(before)
