"""Events to plain lines for cron mails and log files: no control characters, and ASCII where the stream asks for it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    group_ids: tuple[str, ...]
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


@dataclass(slots=True, kw_only=True)
class _Held:
    """The lines of a group that has not ended, which stands in these groups."""

    group_ids: tuple[str, ...]
    lines: Spool = field(default_factory=Spool)


class PlainReporter:
    """One line for each step, the output of those that failed, and a last line that sums up.

    ``verbosity`` 0 shows problems only; 2 and more shows all output, and tracebacks. Output is shown as it comes, of
    steps that run at the same time when they end, so that the lines of one are never between those of another. A group
    that runs beside others is shown as a whole when it ends. A dry run shows what its commands print.
    """

    def __init__(self, stream: IO[str], *, verbosity: int = 1) -> None:
        self._stream = stream
        self._verbosity = verbosity
        self._running: dict[str, _Running] = {}
        # The lines of groups that run beside others, until the group ends: so each stands below its own group.
        self._held: dict[str, _Held] = {}
        # The lines that come while a person at the terminal reads a question.
        self._asking: Spool | None = None
        self._name = ""
        self._is_dry_run = False

    def __call__(self, event: Event) -> None:
        match event:
            case events.RunStarted():
                self._name = event.name
                self._is_dry_run = event.dry_run
                self._say(texts.heading(event))
                if event.inline_reason:
                    self._say(f"  {texts.inline(event)}")
            case events.StepStarted():
                self._start(event)
            case events.ConfirmationRequested():
                self._asking = Spool()
            case events.ConfirmationEnded():
                self._end_question()
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
                # Where nothing was written before it, the last lines name the runbook.
                whose = f"{self._name}: " if self._verbosity == 0 and self._name else ""
                self._write(f"{whose}{event.result.status}: {texts.summary(event.result)}")
                if event.result.advice:
                    self._write(event.result.advice)

    def close(self) -> None:
        """Show what the steps wrote that have no result, because the run broke off."""
        self._end_question()
        for running in self._running.values():
            self._write(f"! cut off  {running.name}", group_ids=running.group_ids)
            self._show(running.lines(), group_ids=running.group_ids)
            running.close()
        self._running.clear()
        for group_id in reversed(tuple(self._held)):
            self._release(group_id)
        self._stream.flush()

    def _start(self, event: events.StepStarted) -> None:
        indent, name = "  " * len(event.group_ids), texts.labelled(event.name, event.step_id)
        if event.argv is None and event.is_concurrent and event.step_id not in self._held:
            self._held[event.step_id] = _Held(group_ids=event.group_ids)
        inside = (*event.group_ids, event.step_id)
        if event.item_count is not None:
            self._say(f"{indent}  loop     {name}: {texts.items(event.item_count)}", group_ids=inside)
        elif event.argv is None:
            self._say(f"{indent}  group    {name}", group_ids=inside)
        else:
            self._running[event.step_id] = _Running(
                name=name, group_ids=event.group_ids, kept=self._new_kept(event), told_at=event.clock_seconds
            )
            if self._verbosity > 1:
                self._write(f"{indent}  run      {' '.join(event.argv)}", group_ids=event.group_ids)

    def _new_kept(self, event: events.StepStarted) -> Kept | None:
        if self._verbosity <= 1:
            is_whole = self._is_dry_run and self._verbosity == 1
            return Spool() if is_whole else Excerpt(head_count=_HEAD, tail_count=_TAIL)
        return Spool() if event.is_concurrent else None

    def _output(self, event: events.StepOutputWritten) -> None:
        running = self._running.get(event.step_id)
        if running is not None and running.kept is not None:
            running.keep(event.line)
        elif self._verbosity > 1:
            self._show([event.line], group_ids=() if running is None else running.group_ids)

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
        if event.result.step_id in self._held:
            self._release(event.result.step_id)
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
        group_ids = event.group_ids
        self._write("  " * len(group_ids) + _line(result), group_ids=group_ids)
        for warning in result.warnings:
            self._write(f"    warning: {warning}", group_ids=group_ids)
        if self._verbosity > 1 or self._is_dry_run or result.is_failure:
            self._show(lines, group_ids=group_ids)
        if result.is_failure and not texts.is_caused_inside(result):
            self._explain(result, group_ids=group_ids)

    def _explain(self, result: StepResult, *, group_ids: Sequence[str]) -> None:
        reason = result.failure
        if reason is None:
            return
        lines = reason.message.splitlines()[1:]
        if self._verbosity > 1:
            lines += reason.traceback.splitlines()
        elif at := texts.place(reason):
            lines.append(at)
        for line in lines:
            self._write(f"    {line}", group_ids=group_ids)

    def _show(self, lines: Iterable[str], *, group_ids: Sequence[str]) -> None:
        for line in lines:
            self._write(f"    | {line}", group_ids=group_ids)

    def _say(self, line: str, *, group_ids: Sequence[str] = ()) -> None:
        if self._verbosity > 0:
            self._write(line, group_ids=group_ids)

    def _end_question(self) -> None:
        if self._asking is None:
            return
        lines, self._asking = self._asking, None
        for line in lines.lines():
            self._write(line)
        lines.close()

    def _release(self, group_id: str) -> None:
        held = self._held.pop(group_id)
        for line in held.lines.lines():
            self._write(line, group_ids=held.group_ids)
        held.lines.close()

    def _write(self, line: str, *, group_ids: Sequence[str] = ()) -> None:
        """Write a line, or hold it with the innermost of these groups that is held."""
        held = next((self._held[group_id] for group_id in reversed(group_ids) if group_id in self._held), None)
        if held is not None:
            held.lines.add(texts.one_line(line))
        elif self._asking is not None:
            self._asking.add(texts.one_line(line))
        else:
            self._stream.write(texts.fitting(texts.one_line(line), self._stream) + "\n")
            self._stream.flush()


def _line(result: StepResult) -> str:
    label = "ignored" if result.ignored else _LABELS[result.status]
    mark = "!" if result.ignored or result.is_failure else " "
    note = texts.note(result)
    return f"{mark} {label:<8} {texts.timed(result)}{': ' if note else ''}{note}"


def build(*, stream: IO[str], verbosity: int, no_color: bool, force_color: bool) -> PlainReporter:
    """A reporter without colours."""
    return PlainReporter(stream, verbosity=verbosity)
