"""What signals do after a run has ended, and when they are reported."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from django_runbook.process.signal_handlers import SIGNALS
from django_runbook.process.stopping import Stop


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    # Whoever runs the tests may ignore some, as nohup does, and a stop respects that.
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


def test_a_process_that_does_not_come_to_its_end_is_ended_by_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)
    with Stop(exits=True, force_seconds=0):
        pass
    signal.raise_signal(signal.SIGHUP)
    assert codes == [129]


def test_the_host_of_a_run_gets_its_handlers_back() -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    with Stop():
        assert [signal.getsignal(number) for number in SIGNALS] != before
    assert [signal.getsignal(number) for number in SIGNALS] == before


def test_a_signal_is_reported_before_what_it_does() -> None:
    stop = Stop()
    reported: list[bool] = []
    stop.on_stop = lambda name, is_immediate: reported.append(stop.is_requested)
    stop.request()
    assert stop.is_requested
    assert reported == [False]


def test_a_report_that_hangs_delays_neither_the_stop_nor_the_summary_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_runbook.process.stop_reports._REPORT_SECONDS", 0.01)
    monkeypatch.setattr("django_runbook.process.stop_reports._REPORT_LEAD_SECONDS", 0.01)
    stop, is_over = Stop(), threading.Event()

    def report(name: str, is_immediate: bool) -> None:  # noqa: FBT001 - as `Stop` calls it
        is_over.wait()

    stop.on_stop = report
    stop.request()
    stop.wait_for_reports()
    assert stop.is_requested
    is_over.set()


def test_the_summary_waits_for_the_report_of_a_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django_runbook.process.stop_reports._REPORT_LEAD_SECONDS", 0.0)
    stop, may_report = Stop(), threading.Event()
    reported: list[str] = []

    def report(name: str, is_immediate: bool) -> None:  # noqa: FBT001 - as `Stop` calls it
        may_report.wait()
        reported.append(name)

    stop.on_stop = report
    stop.request(signal.SIGINT)
    assert reported == []
    may_report.set()
    stop.wait_for_reports()
    assert reported == ["SIGINT"]
