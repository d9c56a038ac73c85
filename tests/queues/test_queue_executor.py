"""What the executor makes of the ends of calls, with a database and workers that the tests play."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connections

from django_runbook.calls import Call, CallStatus, StopLevel
from django_runbook.exceptions import JournalLost
from django_runbook.executors.base import ExecutorCall, QueueRequest
from django_runbook.process.deadlines import Limit
from django_runbook.process.stopping import Stop
from django_runbook.queues.call_monitor import CallMonitor, WatchedCall
from django_runbook.queues.queue_executor import MAX_DEATHS, QueueExecutor
from django_runbook.results import StepStatus
from django_runbook.structs import replace

SUCCESS = {"status": "succeeded", "failure": None, "stdout": [""], "warnings": [], "reason": ""}


@pytest.fixture(autouse=True)
def version(settings: Any) -> None:
    # Otherwise, git is asked.
    settings.RUNBOOK = {"QUEUE": {"VERSION": "1"}}


class PlayedMonitor:
    """Ends each call with the next status."""

    error = None
    watched_count = 1

    def __init__(self, *statuses: str, open_call: Call | None = None) -> None:
        self.statuses = iter(statuses)
        self.begun: list[tuple[int, bool]] = []
        self.requested: list[StopLevel] = []
        self.open_call = open_call

    def adopt(self, call_id: str, *, attempt: int) -> Call | None:
        return self.open_call

    def begin(self, watched: WatchedCall, *, is_new: bool) -> None:
        self.begun.append((watched.call.number, is_new))
        watched.call.status = next(self.statuses)
        watched.call.result = SUCCESS
        watched.news.put(watched.call)


def executor(monitor: Any) -> QueueExecutor:
    engine: Any = SimpleNamespace(name="own")
    return QueueExecutor(run_id="r", engine=engine, monitor=monitor, mask=str, secrets={}, grace_seconds=1)


def call(*, is_repeatable: bool, stop: Stop | None = None, open_id: str = "") -> ExecutorCall:
    return ExecutorCall(
        command="noop",
        tokens=(),
        keeps_stdout=False,
        write_line=lambda stream, line: None,
        report_progress=lambda done, total, failed: None,
        halt=stop or Stop(),
        limit=Limit(),
        queued=QueueRequest(
            queue="q",
            step_id="s",
            attempt=2,
            capture=None,
            is_atomic=False,
            is_hidden=False,
            is_repeatable=is_repeatable,
            open_id=open_id,
        ),
    )


@pytest.mark.parametrize(
    ("is_repeatable", "statuses", "numbers", "status"),
    [
        (False, ["done"], [1], StepStatus.SUCCEEDED),
        (False, ["dead"], [1], StepStatus.INTERRUPTED),
        (True, ["dead", "done"], [1, 2], StepStatus.SUCCEEDED),
        (True, ["dead"] * MAX_DEATHS, [1, 2, 3], StepStatus.FAILED),
        (True, ["cancelled"], [1], StepStatus.NOT_RUN),
    ],
)
def test_each_end_of_a_call_has_its_result(
    *, is_repeatable: bool, statuses: list[str], numbers: list[int], status: StepStatus
) -> None:
    monitor = PlayedMonitor(*statuses)
    assert executor(monitor)(call(is_repeatable=is_repeatable)).status is status
    assert monitor.begun == [(number, True) for number in numbers]


def test_the_successor_of_an_open_call_has_the_next_number() -> None:
    before = Call(id="c", number=2, attempt=2, step_id="s", status=CallStatus.RUNNING.value)
    monitor = PlayedMonitor("dead", "done", open_call=before)
    assert executor(monitor)(call(is_repeatable=True, open_id="c")).status is StepStatus.SUCCEEDED
    assert monitor.begun == [(2, False), (3, True)]


def test_an_open_call_that_another_run_has_cancelled_is_made_again() -> None:
    # The resumed run waited for a lock after it had found the call, and then the other run had the lock.
    before = Call(id="c", number=2, attempt=2, step_id="s", status=CallStatus.CANCELLED.value)
    monitor = PlayedMonitor("done", open_call=before)
    assert executor(monitor)(call(is_repeatable=False, open_id="c")).status is StepStatus.SUCCEEDED
    assert monitor.begun == [(3, True)]


def test_no_call_is_repeated_after_a_stop() -> None:
    stop = Stop()
    stop.request()
    monitor = PlayedMonitor("dead")
    assert executor(monitor)(call(is_repeatable=True, stop=stop)).status is StepStatus.INTERRUPTED
    assert len(monitor.begun) == 1


class ReleasingMonitor(PlayedMonitor):
    """Has a worker that returns the call to its queue before it reads the request to stop; no other one takes it."""

    watched: WatchedCall

    def begin(self, watched: WatchedCall, *, is_new: bool) -> None:
        self.watched = watched
        watched.call.status = CallStatus.RUNNING.value

    def request_stop(self, call: Call, level: StopLevel) -> None:
        self.requested.append(level)
        if call.status == CallStatus.RUNNING:
            call.status, call.release_count = CallStatus.QUEUED.value, 1
        else:
            call.status = CallStatus.CANCELLED.value
            self.watched.news.put(call)


@pytest.mark.parametrize(
    ("halt_count", "seconds", "status", "level", "message"),
    [
        (1, None, StepStatus.INTERRUPTED, StopLevel.AFTER_ITEM, "the run was stopped before another worker took it"),
        (0, 0.0, StepStatus.TIMED_OUT, StopLevel.IMMEDIATE, "no other worker had taken the call"),
    ],
)
def test_a_call_that_its_worker_returns_during_a_stop_is_cancelled(
    *, halt_count: int, seconds: float | None, status: StepStatus, level: StopLevel, message: str
) -> None:
    stop = Stop()
    for _ in range(halt_count):
        stop.request()
    monitor = ReleasingMonitor()
    request = replace(call(is_repeatable=True, stop=stop), limit=Limit().within(seconds, owner="the run"))
    result = executor(monitor)(request)
    assert (result.status, monitor.requested) == (status, [level, level])
    assert result.failure is not None
    assert message in result.failure.message


class BrokenConnection:
    """Has a bug in each statement after the first."""

    alias = "default"
    count = 0

    def execute(self, statement: object) -> object:
        self.count += 1
        if self.count > 1:
            raise ValueError("a bug")
        return None


@pytest.fixture
def monitor(monkeypatch: pytest.MonkeyPatch) -> Iterator[CallMonitor]:
    monkeypatch.setattr(connections, "close_all", lambda: None)
    nothing: Any = SimpleNamespace(add=lambda *args, **options: None, close=lambda: None, dead_among=lambda calls: [])
    broken: Any = BrokenConnection()
    with CallMonitor(run_id="r", connection=broken, sender=nothing, liveness=nothing) as made:
        yield made


def test_a_bug_in_the_thread_of_the_calls_ends_their_steps(monitor: CallMonitor) -> None:
    result = executor(monitor)(call(is_repeatable=True))
    assert result.status is StepStatus.INTERRUPTED
    assert result.failure is not None
    assert result.failure.error_type == JournalLost.__name__
    assert "internal error: ValueError: a bug" in result.failure.message
    again = executor(monitor)(call(is_repeatable=True))
    assert again.status is StepStatus.INTERRUPTED
