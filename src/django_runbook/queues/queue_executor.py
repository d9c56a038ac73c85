"""Runs each call on a worker of the project's task engine, and waits for its end."""

from __future__ import annotations

import queue
import time
import uuid
from collections.abc import Mapping
from typing import Final, Self

from django_runbook.cleaning import Mask
from django_runbook.exceptions import JournalLost, WorkerDied
from django_runbook.executors.base import ExecutorCall, QueueRequest
from django_runbook.models.calls import Call, CallStatus, StopLevel
from django_runbook.process.failures import named_failure
from django_runbook.queues import call_content, call_results, versions
from django_runbook.queues.call_content import CallContent
from django_runbook.queues.call_monitor import CallMonitor, WatchedCall
from django_runbook.queues.engines.base import Engine
from django_runbook.queues.worker_timeout import WorkerTimeout
from django_runbook.results import AttemptResult, Failure, StepStatus
from django_runbook.structs import MutableStruct, replace

# A call that ends its worker each time must not end all of them.
MAX_DEATHS: Final = 3
# A worker reads a stop request once a second, and its process may survive SIGKILL for a while.
_UNANSWERED_SECONDS: Final = 15.0
_SLICE_SECONDS: Final = 0.05
_MAX_SLICE_SECONDS: Final = 1.0


class QueueExecutor(MutableStruct):
    """Calls commands on workers; as a context manager, ends the thread that watches the calls.

    ``secrets`` maps the names of secrets to their values, which no row and no message contains.
    """

    run_id: str
    engine: Engine
    monitor: CallMonitor
    mask: Mask
    secrets: Mapping[str, str]
    grace_seconds: float

    def __enter__(self) -> Self:
        self.monitor.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.monitor.__exit__(*error)

    def __call__(self, call: ExecutorCall) -> AttemptResult:
        """Run the command of a call on a worker; a call that can be repeated is made again if its worker died."""
        request = call.queued
        assert request is not None
        try:
            open_id = request.open_id
            version = versions.own_version()
            open_call = self.monitor.adopt(open_id, attempt=request.attempt, version=version) if open_id else None
            return self._run(call, request, open_call)
        except JournalLost as error:
            failure = Failure(error_type=JournalLost.__name__, message=str(error), exit_code=error.exit_code)
            return AttemptResult(status=StepStatus.INTERRUPTED, failure=failure)

    def _run(self, call: ExecutorCall, request: QueueRequest, open_call: Call | None) -> AttemptResult:
        number = 1
        if open_call is not None and open_call.status == CallStatus.CANCELLED:
            # While this run waited for a lock around the step, another run had the lock.
            number = open_call.number + 1
            open_call = None
        row = self._new_row(call, request, number=number) if open_call is None else open_call
        row, call = self._follow(row, call, request, is_new=open_call is None)
        if open_call is not None and _was_stopped(row) and request.is_repeatable and not _is_over(call):
            # The earlier attempt of the run was stopped, and its worker ended the call; this attempt was not.
            row, call = self._follow(self._new_row(call, request, number=row.number + 1), call, request, is_new=True)
        death_count = 0
        while row.status == CallStatus.DEAD:
            death_count += 1
            if _is_over(call) or not request.is_repeatable or death_count >= MAX_DEATHS:
                return self._after_death(row, call, request, death_count=death_count)
            # An open call of an earlier attempt may have a higher number than one.
            row, call = self._follow(self._new_row(call, request, number=row.number + 1), call, request, is_new=True)
        return self._result(row, call)

    def _follow(
        self, row: Call, call: ExecutorCall, request: QueueRequest, *, is_new: bool
    ) -> tuple[Call, ExecutorCall]:
        """Watch a call to its end; return its row, and the call with the timeout that its worker let pass."""
        watched = WatchedCall(
            call=row,
            write_line=lambda stream, line: call.write_line(stream, self.mask(line)),
            report_progress=call.report_progress,
            on_claimed=request.on_claimed,
        )
        request.on_queued()
        self.monitor.begin(watched, is_new=is_new)
        return self._wait(watched, call)

    def _wait(self, watched: WatchedCall, call: ExecutorCall) -> tuple[Call, ExecutorCall]:
        sent, given_up_at = StopLevel.NONE, float("inf")
        timeout = WorkerTimeout(row=watched.call, call=call, grace_seconds=self.grace_seconds)
        while True:
            try:
                news = watched.news.get(min(_MAX_SLICE_SECONDS, _SLICE_SECONDS + self.monitor.watched_count / 1000))
            except queue.Empty:
                pass
            else:
                if isinstance(news, Call):
                    return news, call
                # A command that writes without a pause is stopped as any other one.
                news()
            if timeout.is_overdue and not call.limit.is_over:
                call = replace(call, limit=timeout.expired_limit)
            level = _level_of(call)
            if level > sent:
                sent = level
                self.monitor.request_stop(watched.call, level)
                if level is StopLevel.IMMEDIATE:
                    given_up_at = (
                        time.monotonic() + max(self.grace_seconds, call.halt.grace_seconds) + _UNANSWERED_SECONDS
                    )
            elif sent and watched.call.status == CallStatus.QUEUED:
                # Its worker shut down and returned it to the queue before it read the request.
                self.monitor.request_stop(watched.call, sent)
            if time.monotonic() > given_up_at:
                given_up_at = float("inf")
                self.monitor.give_up(watched.call)

    def _new_row(self, call: ExecutorCall, request: QueueRequest, *, number: int) -> Call:
        return Call(
            id=uuid.uuid4().hex,
            run_id=self.run_id,
            step_id=request.step_id,
            attempt=request.attempt,
            number=number,
            engine=self.engine.name,
            queue=request.queue,
            command=call.command,
            **CallContent.encode(call.tokens, call.process, secrets=self.secrets).columns,
            tokens_digest=call_content.digest(call.tokens, call.process),
            secret_names=sorted(self.secrets),
            lock_names=list(request.lock_names),
            call_key=call.call_key,
            environ=dict(call.environ),
            capture=request.capture or "",
            timeout_seconds=call.timeout_seconds,
            owner=call.owner,
            is_atomic=request.is_atomic,
            is_hidden=request.is_hidden,
            is_repeatable=request.is_repeatable,
            version=versions.own_version(),
        )

    def _result(self, row: Call, call: ExecutorCall) -> AttemptResult:
        """Return the result of a call that was done or cancelled."""
        if row.status == CallStatus.DONE:
            result = call_results.from_json(row.result, secrets=self.secrets)
            if row.is_hidden and result.stdout:
                self.monitor.forget_output(row)
            if result.status is StepStatus.INTERRUPTED and call.limit.is_over and call.limit.first is not None:
                return replace(result, status=StepStatus.TIMED_OUT, failure=call.limit.first.failure())
            return result
        if row.status == CallStatus.CANCELLED:
            return _after_cancelling(row, call)
        raise self.monitor.error or JournalLost("the calls of the run are not watched any more")

    def _after_death(self, row: Call, call: ExecutorCall, request: QueueRequest, *, death_count: int) -> AttemptResult:
        where = f" on {row.host} (process {row.pid})" if row.host else ""
        if not request.is_repeatable:
            message = f"its worker{where} died, so its outcome is unknown"
            status = StepStatus.INTERRUPTED
        elif death_count >= MAX_DEATHS:
            message = f"its worker died {death_count} times while it ran, the last time{where}"
            status = StepStatus.FAILED
        else:
            message, status = f"its worker{where} died", StepStatus.INTERRUPTED
        if call.limit.is_over and call.limit.first is not None and request.is_repeatable:
            return AttemptResult(status=StepStatus.TIMED_OUT, failure=call.limit.first.failure(message))
        return AttemptResult(status=status, failure=named_failure(WorkerDied, message))


def _after_cancelling(row: Call, call: ExecutorCall) -> AttemptResult:
    has_begun = row.release_count > 0
    if call.limit.is_over and call.limit.first is not None:
        text = f"no {'other ' if has_begun else ''}worker had taken the call"
        return AttemptResult(status=StepStatus.TIMED_OUT, failure=call.limit.first.failure(text))
    if not has_begun:
        return AttemptResult(status=StepStatus.NOT_RUN, reason=f"{call.halt.reason} before a worker took the call")
    message = f"its worker was shut down, and {call.halt.reason} before another worker took it"
    return AttemptResult(
        status=StepStatus.INTERRUPTED, failure=Failure(error_type="Stopped", message=message, exit_code=1)
    )


def _is_over(call: ExecutorCall) -> bool:
    return call.halt.is_requested or call.limit.is_over


def _was_stopped(row: Call) -> bool:
    return bool(row.status == CallStatus.DONE and row.result["status"] == StepStatus.INTERRUPTED)


def _level_of(call: ExecutorCall) -> StopLevel:
    if call.halt.is_immediate or call.limit.is_over:
        return StopLevel.IMMEDIATE
    return StopLevel.AFTER_ITEM if call.halt.is_requested else StopLevel.NONE
