"""The thread that watches calls: what it passes on, and what it leaves to a resumed run that has taken a call over."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from django_runbook.exceptions import JournalLost
from django_runbook.journal.connection import JournalConnection
from django_runbook.models.calls import Call, CallOutput, CallStatus, StopLevel
from django_runbook.queues import call_monitor
from django_runbook.queues.call_monitor import CallMonitor, WatchedCall
from tests.journal_data import new_run
from tests.patience import PATIENCE_SECONDS
from tests.queues.calls_data import add_call

pytestmark = pytest.mark.django_db(transaction=True)


def monitor_of(call: Call) -> CallMonitor:
    nothing: Any = SimpleNamespace(
        add=lambda *args, **options: None,
        close=lambda: None,
        dead_among=lambda calls: [],
        note_change=lambda row: None,
        note_claim=lambda row: None,
    )
    return CallMonitor(
        run_id=call.run_id,
        connection=JournalConnection("default"),
        sender=nothing,
        liveness=nothing,
        refused=nothing,
    )


@pytest.fixture
def call() -> Call:
    return add_call(new_run(), status=CallStatus.RUNNING.value)


@pytest.fixture
def monitor(call: Call) -> Iterator[CallMonitor]:
    with monitor_of(call) as made:
        yield made


def watched_of(call: Call, lines: list[str]) -> WatchedCall:
    return WatchedCall(
        call=call,
        write_line=lambda stream, line: lines.append(line),
        report_progress=lambda done, total, failed: None,
        on_claimed=lambda host, pid: None,
    )


@pytest.mark.parametrize("status", [CallStatus.QUEUED, CallStatus.RUNNING])
def test_a_run_does_not_end_a_call_that_a_resumed_run_has_taken_over(
    monitor: CallMonitor, call: Call, status: CallStatus
) -> None:
    Call.objects.update(status=status.value)
    with monitor_of(call) as other:
        assert other.adopt(call.pk, attempt=2, version="") is not None
    monitor.request_stop(call, StopLevel.IMMEDIATE)
    monitor.give_up(call)
    row = Call.objects.get()
    assert (row.status, row.stop_level) == (status.value, StopLevel.NONE)


def test_a_run_whose_call_was_taken_over_has_lost_its_history(monitor: CallMonitor, call: Call) -> None:
    watched = watched_of(call, [])
    Call.objects.update(attempt=2)
    monitor.begin(watched, is_new=False)
    assert watched.news.get() is call
    assert isinstance(monitor.error, JournalLost)
    assert "another process has taken the run over" in str(monitor.error)


def test_the_stop_of_an_earlier_attempt_is_forgotten(monitor: CallMonitor, call: Call) -> None:
    monitor.request_stop(call, StopLevel.AFTER_ITEM)
    assert Call.objects.get().stop_level == StopLevel.AFTER_ITEM
    adopted = monitor.adopt(call.pk, attempt=2, version="")
    assert adopted is not None
    assert adopted.stop_level == StopLevel.NONE


def test_a_worker_is_asked_to_pause_while_its_step_is_slower(
    monkeypatch: pytest.MonkeyPatch, monitor: CallMonitor, call: Call
) -> None:
    monkeypatch.setattr(call_monitor, "_MAX_WAITING_PARTS", 2)
    CallOutput.objects.bulk_create(CallOutput(call=call, number=number, lines=[]) for number in range(1, 6))
    watched = watched_of(call, [])
    monitor._watched[call.pk] = watched
    counts = []
    for output_count, seconds in ((2, 1.0), (5, 1.0), (5, 1.0), (5, 0.0)):
        monkeypatch.setattr(call_monitor, "_ASK_AGAIN_SECONDS", seconds * PATIENCE_SECONDS)
        Call.objects.update(output_count=output_count)
        monitor._read()
        counts.append(Call.objects.get().pause_count)
    assert counts == [0, 1, 1, 2]
    while watched.news.count():
        watched.news.get(0)
        monitor._read()
    assert watched.seen_output_count == 5
    before = Call.objects.get().pause_count
    monitor._read()
    assert Call.objects.get().pause_count == before


def test_output_stays_in_the_database_while_its_step_is_slower(
    monkeypatch: pytest.MonkeyPatch, monitor: CallMonitor, call: Call
) -> None:
    monkeypatch.setattr(call_monitor, "_MAX_WAITING_PARTS", 2)
    CallOutput.objects.bulk_create(
        CallOutput(call=call, number=number, lines=[["stdout", str(number)]]) for number in range(1, 6)
    )
    Call.objects.update(output_count=3)
    lines: list[str] = []
    watched = watched_of(call, lines)
    monitor._watched[call.pk] = watched
    assert monitor._read()
    assert not monitor._read()
    assert watched.news.count() == 2
    Call.objects.update(status=CallStatus.DONE.value, output_count=5)
    while not isinstance(news := watched.news.get(0), Call):
        news()
        # Two parts, and at last the row.
        monitor._read()
        assert watched.news.count() <= 3
    assert lines == ["1", "2", "3", "4", "5"]
    assert not monitor._watched
