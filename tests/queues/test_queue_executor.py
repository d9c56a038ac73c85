"""What the executor makes of the ends of calls, with a database and workers that the tests play."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connections

from django_runbook.exceptions import JournalLost
from django_runbook.executors.base import ExecutorCall, QueueRequest
from django_runbook.models.calls import Call, CallStatus, StopLevel
from django_runbook.process.deadlines import Limit
from django_runbook.process.stopping import Stop
from django_runbook.queues import queue_executor, worker_timeout
from django_runbook.queues.call_monitor import CallMonitor, WatchedCall
from django_runbook.queues.queue_executor import MAX_DEATHS, QueueExecutor
from django_runbook.results import StepStatus
from django_runbook.structs import replace

SUCCESS = {"status": "succeeded", "failure": None, "stdout": [""], "warnings": [], "reason": ""}
STOPPED = {**SUCCESS, "status": "interrupted"}


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

    def adopt(self, call_id: str, *, attempt: int, version: str) -> Call | None:
        return self.open_call

    def begin(self, watched: WatchedCall, *, is_new: bool) -> None:
        self.begun.append((watched.call.number, is_new))
        watched.call.status = next(self.statuses)
        watched.call.result = SUCCESS
        watched.news.put(watched.call)


def executor(monitor: Any, *, grace_seconds: float = 1.0) -> QueueExecutor:
    engine: Any = SimpleNamespace(name="own")
    return QueueExecutor(run_id="r", engine=engine, monitor=monitor, mask=str, secrets={}, grace_seconds=grace_seconds)


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
    monkeypatch: pytest.MonkeyPatch,
    *,
    halt_count: int,
    seconds: float | None,
    status: StepStatus,
    level: StopLevel,
    message: str,
) -> None:
    monkeypatch.setattr(queue_executor, "_SLICE_SECONDS", 0.001)
    stop = Stop()
    for _ in range(halt_count):
        stop.request()
    monitor = ReleasingMonitor()
    request = replace(call(is_repeatable=True, stop=stop), limit=Limit().within(seconds, owner="the run"))
    result = executor(monitor)(request)
    assert (result.status, monitor.requested) == (status, [level, level])
    assert result.failure is not None
    assert message in result.failure.message


class HangingMonitor(PlayedMonitor):
    """Has a worker that hangs after its claim, or that only lets the timeout pass."""

    def __init__(self, *, answers: bool) -> None:
        super().__init__()
        self.answers = answers

    def begin(self, watched: WatchedCall, *, is_new: bool) -> None:
        self.watched = watched
        self.begun.append((watched.call.number, is_new))
        watched.call.status, watched.call.claim = CallStatus.RUNNING.value, "c"

    def request_stop(self, call: Call, level: StopLevel) -> None:
        self.requested.append(level)
        if self.answers:
            call.status, call.result = CallStatus.DONE.value, STOPPED
            self.watched.news.put(call)

    def give_up(self, call: Call) -> None:
        if not self.answers:
            call.status = CallStatus.DEAD.value
            self.watched.news.put(call)


@pytest.mark.parametrize(
    ("answers", "is_repeatable", "status", "message"),
    [
        (True, False, StepStatus.TIMED_OUT, "the timeout of the step expired"),
        (False, True, StepStatus.TIMED_OUT, "the timeout of the step expired"),
        (False, False, StepStatus.INTERRUPTED, "so its outcome is unknown"),
    ],
)
def test_a_worker_that_hangs_does_not_make_its_step_longer_than_its_timeout(
    monkeypatch: pytest.MonkeyPatch, *, answers: bool, is_repeatable: bool, status: StepStatus, message: str
) -> None:
    monkeypatch.setattr(worker_timeout, "_OVERDUE_SECONDS", 0.0)
    monkeypatch.setattr(queue_executor, "_UNANSWERED_SECONDS", 0.0)
    monkeypatch.setattr(queue_executor, "_SLICE_SECONDS", 0.001)
    monitor = HangingMonitor(answers=answers)
    stop = Stop(force_seconds=0.0)
    request = replace(call(is_repeatable=is_repeatable, stop=stop), timeout_seconds=0.01, owner="the step")
    result = executor(monitor, grace_seconds=0.0)(request)
    assert (result.status, monitor.requested) == (status, [StopLevel.IMMEDIATE])
    assert result.failure is not None
    assert message in result.failure.message
    assert len(monitor.begun) == 1


def test_a_call_that_waits_for_a_worker_has_no_timeout() -> None:
    row = Call(status=CallStatus.RUNNING.value, claim="c")
    timeout = worker_timeout.WorkerTimeout(
        row=row, call=replace(call(is_repeatable=True), timeout_seconds=-1e6), grace_seconds=0
    )
    assert timeout.is_overdue
    row.status = CallStatus.QUEUED.value
    assert not timeout.is_overdue


class StoppedMonitor(PlayedMonitor):
    """Has a worker that ends its first call as its run asked before it was killed."""

    def begin(self, watched: WatchedCall, *, is_new: bool) -> None:
        super().begin(watched, is_new=is_new)
        if not is_new:
            watched.call.result = STOPPED


@pytest.mark.parametrize(
    ("is_repeatable", "status", "numbers"),
    [(True, StepStatus.SUCCEEDED, [2, 3]), (False, StepStatus.INTERRUPTED, [2])],
)
def test_the_stop_of_an_earlier_attempt_does_not_stop_a_step_that_can_be_repeated(
    *, is_repeatable: bool, status: StepStatus, numbers: list[int]
) -> None:
    before = Call(id="c", number=2, attempt=2, step_id="s", status=CallStatus.RUNNING.value)
    monitor = StoppedMonitor("done", "done", open_call=before)
    assert executor(monitor)(call(is_repeatable=is_repeatable, open_id="c")).status is status
    assert [number for number, _ in monitor.begun] == numbers


class TalkingMonitor(HangingMonitor):
    """Has a worker whose command writes without a pause."""

    def begin(self, watched: WatchedCall, *, is_new: bool) -> None:
        super().begin(watched, is_new=is_new)
        self.talk()

    def talk(self) -> None:
        self.watched.news.put(self.talk)


def test_a_command_that_writes_without_a_pause_is_stopped() -> None:
    stop = Stop()
    stop.request()
    monitor = TalkingMonitor(answers=True)
    assert executor(monitor)(call(is_repeatable=False, stop=stop)).status is StepStatus.INTERRUPTED
    assert monitor.requested == [StopLevel.AFTER_ITEM]


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
    with CallMonitor(run_id="r", connection=broken, sender=nothing, liveness=nothing, refused=nothing) as made:
        yield made


def test_a_bug_in_the_thread_of_the_calls_ends_their_steps(monitor: CallMonitor) -> None:
    result = executor(monitor)(call(is_repeatable=True))
    assert result.status is StepStatus.INTERRUPTED
    assert result.failure is not None
    assert result.failure.error_type == JournalLost.__name__
    assert "internal error: ValueError: a bug" in result.failure.message
    again = executor(monitor)(call(is_repeatable=True))
    assert again.status is StepStatus.INTERRUPTED
