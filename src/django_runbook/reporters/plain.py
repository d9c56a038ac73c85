"""Writes plain lines for cron mails and log files, without control characters, and in ASCII if the stream needs it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import IO, Final

from django_runbook import events, wording
from django_runbook.events import Event
from django_runbook.reporters import phrases
from django_runbook.reporters.buffers import Buffer, HeadTailBuffer, SpooledBuffer
from django_runbook.reporters.line_stream import LineStream
from django_runbook.reporters.pace import Pace
from django_runbook.results import RunStatus, StepResult, StepStatus
from django_runbook.structs import MutableStruct, field

_HEAD, _TAIL = 20, 40
_PROGRESS_SECONDS: Final = 10.0
_LABELS: Final = {
    StepStatus.SUCCEEDED: "ok",
    StepStatus.FAILED: "FAILED",
    StepStatus.TIMED_OUT: "TIMED OUT",
    StepStatus.SKIPPED: "skipped",
    StepStatus.INTERRUPTED: "INTERRUPTED",
    StepStatus.NOT_RUN: "not run",
}


class _RunningCommand(MutableStruct):
    """Holds the state of a running command; ``buffer`` is None if its output is shown immediately.

    ``separator`` is written before its next line.
    """

    name: str
    group_ids: tuple[str, ...]
    buffer: Buffer | None
    separator: str = ""

    def add(self, line: str) -> None:
        if self.buffer is not None:
            if self.separator:
                self.buffer.add(self.separator)
                self.separator = ""
            self.buffer.add(line)

    def lines(self) -> Iterable[str]:
        return self.buffer.lines() if self.buffer is not None else ()

    def close(self) -> None:
        if self.buffer is not None:
            self.buffer.close()


class _Progress(MutableStruct):
    """Holds the progress of a command or a loop."""

    reported_at: float
    pace: Pace = field(default_factory=Pace)


class _BufferedGroup(MutableStruct):
    """Buffers the report of a running group; ``group_ids`` are the groups around it."""

    group_ids: tuple[str, ...]
    lines: SpooledBuffer = field(default_factory=SpooledBuffer)


class PlainReporter:
    """Writes one line for each step, the output of failed steps, and a summary at the end.

    ``verbosity`` 0 shows only problems; 2 and more shows all output immediately, and tracebacks. Concurrent steps and
    groups are shown when they end, so that their lines are not mixed. A dry run shows what its commands print. The
    queue and the worker of a step are shown immediately; below verbosity 2, only those of the first item of a loop.
    """

    def __init__(self, stream: IO[str], *, verbosity: int = 1) -> None:
        self._lines = LineStream(stream)
        self._verbosity = verbosity
        self._running: dict[str, _RunningCommand] = {}
        # The reports of concurrent groups, until the group ends.
        self._groups: dict[str, _BufferedGroup] = {}
        # What was reported about the workers of each loop.
        self._loops: dict[str, set[str]] = {}
        self._progress_of: dict[str, _Progress] = {}
        # The loops that report the sum of their items' progress.
        self._summed: set[str] = set()
        self._name = ""
        self._is_dry_run = False

    def __call__(self, event: Event) -> None:
        match event:
            # The most frequent one.
            case events.StepOutputWritten():
                self._output(event)
            case events.RunStarted():
                self._name = event.name
                self._is_dry_run = event.dry_run
                self._write_info(phrases.heading(event))
                if event.inline_reason:
                    self._write_info(f"  {phrases.inline(event)}")
            case events.StepStarted():
                self._start(event)
            case events.ConfirmationRequested():
                self._lines.defer()
            case events.ConfirmationEnded():
                self._lines.resume()
            case events.HistoryAwaited():
                self._write(f"  waiting  {phrases.waiting(event)}")
            case events.LockAwaited():
                prefix = f"{event.step_id}: " if event.step_id else ""
                self._write_info(f"  waiting  {prefix}{phrases.waiting(event)}")
            case events.LockRetaken():
                self._write(f"! warning  {phrases.retaken(event)}")
            case events.ForecastMade():
                self._write_info(f"  forecast {phrases.forecast(event)}")
            case events.UnusualNoticed():
                self._write(f"! unusual  {phrases.unusual(event)}")
            case events.StepQueued():
                self._report_worker("queued", event.step_id, phrases.queued(event))
            case events.StepClaimed():
                self._report_worker("claimed", event.step_id, phrases.claimed(event))
            case events.StepProgress():
                self._progress(event)
            case events.AttemptFailed():
                self._retry(event)
            case events.StepFinished():
                self._finish(event)
            case events.StopRequested():
                self._write(phrases.stopping(event))
            case events.RunFinished() if self._verbosity > 0 or event.result.status is not RunStatus.SUCCEEDED:
                for warning in event.result.warnings:
                    self._write(f"warning: {warning}")
                # Nothing else may have been written, so the last line names the runbook.
                prefix = f"{self._name}: " if self._verbosity == 0 and self._name else ""
                self._write(f"{prefix}{event.result.status}: {phrases.summary(event.result)}")
                for line in phrases.timings(event.result):
                    self._write(line)
                if event.result.advice:
                    self._write(event.result.advice)

    def close(self) -> None:
        """Show the output of steps without a result, if the run was aborted."""
        self._lines.resume()
        for running in self._running.values():
            self._write(f"! aborted  {running.name}", group_ids=running.group_ids)
            self._show(running.lines(), group_ids=running.group_ids)
            running.close()
        self._running.clear()
        for group_id in reversed(tuple(self._groups)):
            self._write_group(group_id)

    def _start(self, event: events.StepStarted) -> None:
        indent, name = "  " * len(event.group_ids), phrases.labelled(event.name, event.step_id)
        if event.argv is None and event.is_concurrent and event.step_id not in self._groups:
            self._groups[event.step_id] = _BufferedGroup(group_ids=event.group_ids)
        inside = (*event.group_ids, event.step_id)
        self._progress_of[event.step_id] = _Progress(reported_at=event.clock_seconds)
        if event.item_count is not None:
            self._loops[event.step_id] = set()
            self._write_info(
                f"{indent}  loop     {name}: {wording.number_of(event.item_count, 'item')}", group_ids=inside
            )
        elif event.argv is None:
            self._write_info(f"{indent}  group    {name}", group_ids=inside)
        else:
            self._running[event.step_id] = _RunningCommand(
                name=name, group_ids=event.group_ids, buffer=self._new_buffer(event)
            )
            if self._verbosity > 1:
                self._write(f"{indent}  run      {' '.join(event.argv)}", group_ids=event.group_ids)

    def _new_buffer(self, event: events.StepStarted) -> Buffer | None:
        if self._verbosity <= 1:
            is_complete = self._is_dry_run and self._verbosity == 1
            return SpooledBuffer() if is_complete else HeadTailBuffer(head_count=_HEAD, tail_count=_TAIL)
        return SpooledBuffer() if event.is_concurrent else None

    def _output(self, event: events.StepOutputWritten) -> None:
        running = self._running.get(event.step_id)
        if running is not None and running.buffer is not None:
            running.add(event.line)
        elif self._verbosity > 1:
            self._show([event.line], group_ids=() if running is None else running.group_ids)

    def _progress(self, event: events.StepProgress) -> None:
        progress = self._progress_of.get(event.step_id)
        if progress is None:
            return
        progress.pace.add(event)
        if event.step_id in self._loops:
            self._summed.add(event.step_id)
        is_due = event.clock_seconds - progress.reported_at >= _PROGRESS_SECONDS
        if is_due and not self._is_summed(event.step_id):
            progress.reported_at = event.clock_seconds
            self._write_info(f"  progress {event.step_id}: {progress.pace.text()}")

    def _is_summed(self, step_id: str) -> bool:
        """Return whether the line of a loop includes the progress of a command, which then has none of its own."""
        running = self._running.get(step_id)
        return running is not None and self._verbosity <= 1 and not self._summed.isdisjoint(running.group_ids)

    def _report_worker(self, label: str, step_id: str, text: str) -> None:
        running = self._running.get(step_id)
        loops = [self._loops[one] for one in running.group_ids if one in self._loops] if running is not None else []
        if self._verbosity > 1 or not any(label in loop for loop in loops):
            self._write_info(f"  {label:<8} {step_id} {text}")
        for loop in loops:
            loop.add(label)

    def _retry(self, event: events.AttemptFailed) -> None:
        pause = wording.short_duration(event.delay_seconds)
        self._write(f"  retry    {event.step_id}: {phrases.attempt(event)}; next in {pause}")
        if running := self._running.get(event.step_id):
            running.separator = f"... attempt {event.attempt + 1} ..."

    def _finish(self, event: events.StepFinished) -> None:
        running = self._running.pop(event.result.step_id, None)
        self._progress_of.pop(event.result.step_id, None)
        if event.result.step_id in self._groups:
            self._write_group(event.result.step_id)
        if running is not None:
            self._report(event, running.lines())
            running.close()
        else:
            self._report(event, ())

    def _report(self, event: events.StepFinished, lines: Iterable[str]) -> None:
        result = event.result
        is_silent = self._verbosity == 0 or (result.is_group and result.status is StepStatus.SUCCEEDED)
        if is_silent and not (result.is_failure or result.warnings):
            return
        group_ids = event.group_ids
        line = _line(result, is_dry_run=self._is_dry_run)
        self._write("  " * len(group_ids) + line, group_ids=group_ids)
        for warning in result.warnings:
            self._write(f"    warning: {warning}", group_ids=group_ids)
        if self._verbosity > 1 or self._is_dry_run or result.is_failure:
            self._show(lines, group_ids=group_ids)
        if result.is_failure and not phrases.is_caused_inside(result):
            self._explain(result, group_ids=group_ids)

    def _explain(self, result: StepResult, *, group_ids: Sequence[str]) -> None:
        reason = result.failure
        if reason is None:
            return
        lines = reason.message.splitlines()[1:]
        if self._verbosity > 1:
            lines += reason.traceback.splitlines()
        elif at := phrases.place(reason):
            lines.append(at)
        for line in lines:
            self._write(f"    {line}", group_ids=group_ids)

    def _show(self, lines: Iterable[str], *, group_ids: Sequence[str]) -> None:
        for line in lines:
            self._write(f"    | {line}", group_ids=group_ids)

    def _write_info(self, line: str, *, group_ids: Sequence[str] = ()) -> None:
        if self._verbosity > 0:
            self._write(line, group_ids=group_ids)

    def _write_group(self, group_id: str) -> None:
        group = self._groups.pop(group_id)
        for line in group.lines.lines():
            self._write(line, group_ids=group.group_ids)
        group.lines.close()

    def _write(self, line: str, *, group_ids: Sequence[str] = ()) -> None:
        """Write a line, or add it to the innermost of these groups that is buffered."""
        group = next((self._groups[group_id] for group_id in reversed(group_ids) if group_id in self._groups), None)
        if group is not None:
            group.lines.add(phrases.one_line(line))
        else:
            self._lines.write(line)


def _line(result: StepResult, *, is_dry_run: bool) -> str:
    label = "ignored" if result.ignored else _LABELS[result.status]
    prefix = "!" if result.ignored or result.is_failure else " "
    note = phrases.note_and_rows(result, is_dry_run=is_dry_run)
    return f"{prefix} {label:<8} {phrases.timed(result)}{': ' if note else ''}{note}"


def build(*, stream: IO[str], verbosity: int, no_color: bool, force_color: bool) -> PlainReporter:
    """Create a reporter, which uses no colors."""
    return PlainReporter(stream, verbosity=verbosity)
