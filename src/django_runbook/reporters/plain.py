"""Events to plain lines for cron mails and log files: no control characters, and ASCII where the stream asks for it."""

from __future__ import annotations

from collections import deque
from typing import IO

from django_runbook import events
from django_runbook.events import Event
from django_runbook.reporters import texts
from django_runbook.results import StepResult, StepStatus

_HEAD, _TAIL = 20, 40
_LABELS = {
    StepStatus.SUCCEEDED: "ok",
    StepStatus.FAILED: "FAILED",
    StepStatus.TIMED_OUT: "TIMED OUT",
    StepStatus.SKIPPED: "skipped",
    StepStatus.INTERRUPTED: "INTERRUPTED",
    StepStatus.NOT_RUN: "not run",
}


class PlainReporter:
    """One line for each step, the output of those that failed, and a last line that sums up.

    ``verbosity`` 0 shows problems only; 2 and more shows all output as it comes, and tracebacks.
    """

    def __init__(self, stream: IO[str], *, verbosity: int = 1) -> None:
        self._stream = stream
        self._verbosity = verbosity
        self._head: list[str] = []
        self._tail: deque[str] = deque(maxlen=_TAIL)
        self._line_count = 0
        self._groups: set[str] = set()

    def __call__(self, event: Event) -> None:
        match event:
            case events.RunStarted():
                steps = f"{event.step_count} step{'' if event.step_count == 1 else 's'}"
                self._say(f"{event.name}: {steps}{', dry run' if event.dry_run else ''} ({event.file})")
            case events.StepStarted():
                self._start(event)
            case events.StepOutputWritten():
                self._output(event)
            case events.AttemptFailed():
                reason = texts.failure(event.failure)
                pause = texts.duration(event.delay_seconds)
                which = f"attempt {event.attempt} of {event.attempt_count}"
                self._write(f"  retry    {event.step_id}: {which} failed: {reason}; next in {pause}")
            case events.StepFinished():
                self._finish(event)
            case events.StopRequested():
                what = "ending the current command" if event.is_immediate else "stopping after the current command"
                self._write(f"{event.signal_name}: {what}")
            case events.RunFinished():
                self._sum_up(event)

    def close(self) -> None:
        self._stream.flush()

    def _start(self, event: events.StepStarted) -> None:
        self._head, self._line_count = [], 0
        self._tail.clear()
        if event.argv is None:
            self._groups.add(event.step_id)
            self._say(f"{'  ' * len(event.group_ids)}  group    {event.name}")
        elif self._verbosity > 1:
            self._write(f"{'  ' * len(event.group_ids)}  run      {' '.join(event.argv)}")

    def _output(self, event: events.StepOutputWritten) -> None:
        if self._verbosity > 1:
            self._write(f"    | {event.line}")
            return
        self._line_count += 1
        if len(self._head) < _HEAD:
            self._head.append(event.line)
        else:
            self._tail.append(event.line)

    def _finish(self, event: events.StepFinished) -> None:
        result = event.result
        if event.result.is_group:
            self._groups.add(result.step_id)
        is_problem = result.is_failure or bool(result.warnings)
        if self._verbosity == 0 and not is_problem:
            return
        if event.result.is_group and result.status is StepStatus.SUCCEEDED:
            return
        self._write("  " * len(event.group_ids) + _line(result))
        for warning in result.warnings:
            self._write(f"    warning: {warning}")
        if result.is_failure and not event.result.is_group:
            self._explain(result)

    def _explain(self, result: StepResult) -> None:
        left_out = self._line_count - len(self._head) - len(self._tail)
        between = [f"... {left_out} lines left out ..."] if left_out > 0 else []
        for line in (*self._head, *between, *self._tail):
            self._write(f"    | {line}")
        reason = result.failure
        if reason is None:
            return
        for line in reason.message.splitlines()[1:]:
            self._write(f"    {line}")
        if self._verbosity > 1:
            for line in reason.traceback.splitlines():
                self._write(f"    {line}")
        elif at := texts.place(reason):
            self._write(f"    {at}")

    def _sum_up(self, event: events.RunFinished) -> None:
        result = event.result
        if self._verbosity == 0 and result.exit_code == 0 and not any(step.tolerated for step in result.steps):
            return
        summed = texts.counts(result, group_ids=frozenset(self._groups))
        spent = texts.duration(result.duration_seconds)
        code = f", exit code {result.exit_code}" if result.exit_code else ""
        self._write(f"{result.status}: {summed} in {spent}{code}")

    def _say(self, line: str) -> None:
        if self._verbosity > 0:
            self._write(line)

    def _write(self, line: str) -> None:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        self._stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        self._stream.flush()


def _line(result: StepResult) -> str:
    label = "allowed" if result.tolerated else _LABELS[result.status]
    mark = "!" if result.tolerated or result.is_failure else " "
    has_run = result.attempt_count > 0 or result.is_failure
    spent = f" ({texts.duration(result.duration_seconds)})" if has_run else ""
    note = texts.note(result)
    return f"{mark} {label:<8} {result.name}{spent}{': ' if note else ''}{note}"


def build(*, stream: IO[str], verbosity: int, no_color: bool, force_color: bool) -> PlainReporter:
    """A reporter without colours."""
    return PlainReporter(stream, verbosity=verbosity)
