"""Events to plain lines for cron mails and log files: no control characters, and ASCII where the stream asks for it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import IO, Final

from django_runbook import events
from django_runbook.events import Event
from django_runbook.reporters import texts
from django_runbook.reporters.keeping import Excerpt, Kept, Spool
from django_runbook.reporters.pace import Pace
from django_runbook.results import RunStatus, StepResult, StepStatus

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


@dataclass(slots=True, kw_only=True)
class _Running:
    """A command that has not ended; ``kept`` is its output, unless that is shown as it comes.

    ``mark`` stands before its next line.
    """

    name: str
    kept: Kept | None
    told_at: float
    pace: Pace = field(default_factory=Pace)
    mark: str = ""

    def keep(self, line: str) -> None:
        if self.kept is not None:
            if self.mark:
                self.kept.add(self.mark)
                self.mark = ""
            self.kept.add(line)

    def lines(self) -> Iterable[str]:
        return self.kept.lines() if self.kept is not None else ()

    def close(self) -> None:
        if self.kept is not None:
            self.kept.close()


class PlainReporter:
    """One line for each step, the output of those that failed, and a last line that sums up.

    ``verbosity`` 0 shows problems only; 2 and more shows all output, and tracebacks. Output is shown as it comes, of
    steps that run at the same time when they end, so that the lines of one are never between those of another.
    """

    def __init__(self, stream: IO[str], *, verbosity: int = 1) -> None:
        self._stream = stream
        self._verbosity = verbosity
        self._running: dict[str, _Running] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case events.RunStarted():
                steps = f"{event.step_count} step{'' if event.step_count == 1 else 's'}"
                self._say(f"{event.name}: {steps}{', dry run' if event.dry_run else ''} ({event.file})")
                if event.inline_reason:
                    self._say(f"  {texts.inline(event)}")
            case events.StepStarted():
                self._start(event)
            case events.HistoryAwaited():
                self._write(f"  waiting  {texts.waiting(event)}")
            case events.LockAwaited():
                whose = f"{event.step_id}: " if event.step_id else ""
                self._say(f"  waiting  {whose}{texts.waiting(event)}")
            case events.LockRetaken():
                self._write(f"! warning  {texts.retaken(event)}")
            case events.StepOutputWritten():
                self._output(event)
            case events.StepProgress():
                self._progress(event)
            case events.AttemptFailed():
                self._retry(event)
            case events.StepFinished():
                self._finish(event)
            case events.StopRequested():
                self._write(texts.stopping(event))
            case events.RunFinished() if self._verbosity > 0 or event.result.status is not RunStatus.SUCCEEDED:
                for warning in event.result.warnings:
                    self._write(f"warning: {warning}")
                self._write(f"{event.result.status}: {texts.summary(event.result)}")

    def close(self) -> None:
        """Show what the steps wrote that have no result, because the run broke off."""
        for running in self._running.values():
            self._write(f"! cut off  {running.name}")
            self._show(running.lines())
            running.close()
        self._running.clear()
        self._stream.flush()

    def _start(self, event: events.StepStarted) -> None:
        indent = "  " * len(event.group_ids)
        if event.item_count is not None:
            self._say(f"{indent}  loop     {event.name}: {texts.items(event.item_count)}")
        elif event.argv is None:
            self._say(f"{indent}  group    {event.name}")
        else:
            self._running[event.step_id] = _Running(
                name=event.name, kept=self._new_kept(event), told_at=event.clock_seconds
            )
            if self._verbosity > 1:
                self._write(f"{indent}  run      {' '.join(event.argv)}")

    def _new_kept(self, event: events.StepStarted) -> Kept | None:
        if self._verbosity <= 1:
            return Excerpt(head_count=_HEAD, tail_count=_TAIL)
        return Spool() if event.is_concurrent else None

    def _output(self, event: events.StepOutputWritten) -> None:
        running = self._running.get(event.step_id)
        if running is not None and running.kept is not None:
            running.keep(event.line)
        elif self._verbosity > 1:
            self._show([event.line])

    def _progress(self, event: events.StepProgress) -> None:
        running = self._running.get(event.step_id)
        if running is None:
            return
        running.pace.add(event)
        if event.clock_seconds - running.told_at >= _PROGRESS_SECONDS:
            running.told_at = event.clock_seconds
            self._say(f"  progress {event.step_id}: {running.pace.words()}")

    def _retry(self, event: events.AttemptFailed) -> None:
        pause = texts.duration(event.delay_seconds)
        self._write(f"  retry    {event.step_id}: {texts.attempt(event)}; next in {pause}")
        if running := self._running.get(event.step_id):
            running.mark = f"... attempt {event.attempt + 1} ..."

    def _finish(self, event: events.StepFinished) -> None:
        running = self._running.pop(event.result.step_id, None)
        if running is not None:
            self._tell(event, running.lines())
            running.close()
        else:
            self._tell(event, ())

    def _tell(self, event: events.StepFinished, lines: Iterable[str]) -> None:
        result = event.result
        is_silent = self._verbosity == 0 or (result.is_group and result.status is StepStatus.SUCCEEDED)
        if is_silent and not (result.is_failure or result.warnings):
            return
        self._write("  " * len(event.group_ids) + _line(result))
        for warning in result.warnings:
            self._write(f"    warning: {warning}")
        if self._verbosity > 1 or result.is_failure:
            self._show(lines)
        if result.is_failure and not result.is_group:
            self._explain(result)

    def _explain(self, result: StepResult) -> None:
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

    def _show(self, lines: Iterable[str]) -> None:
        for line in lines:
            self._write(f"    | {line}")

    def _say(self, line: str) -> None:
        if self._verbosity > 0:
            self._write(line)

    def _write(self, line: str) -> None:
        self._stream.write(texts.fitting(texts.one_line(line), self._stream) + "\n")
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
