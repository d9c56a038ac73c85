"""Reports stops to listeners that answer slowly, or not at all."""

from __future__ import annotations

import signal
import threading

import pytest

from django_runbook.process.stopping import Stop


def test_a_signal_is_reported_before_it_takes_effect() -> None:
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
