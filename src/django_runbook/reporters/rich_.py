"""Events to a live display on a terminal: what is done, what runs now with its last lines, and a table at the end."""

from __future__ import annotations

import time
from collections import deque
from typing import IO, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from django_runbook import events
from django_runbook.events import Event
from django_runbook.reporters import texts
from django_runbook.results import RunResult, RunStatus, StepResult, StepStatus

_LIVE_LINES: Final = 5
_KEPT_LINES: Final = 40
_STYLES: Final = {
    StepStatus.SUCCEEDED: ("✓", "green"),
    StepStatus.FAILED: ("✗", "bold red"),
    StepStatus.TIMED_OUT: ("✗", "bold red"),
    StepStatus.SKIPPED: ("-", "dim"),
    StepStatus.INTERRUPTED: ("✗", "bold magenta"),
    StepStatus.NOT_RUN: ("·", "dim"),
}
_RUN_STYLES: Final = {
    RunStatus.SUCCEEDED: "bold green",
    RunStatus.WARNING: "bold yellow",
    RunStatus.FAILED: "bold red",
    RunStatus.INTERRUPTED: "bold magenta",
}


class RichReporter:
    """Draws at most ten times a second, whatever the commands write."""

    def __init__(self, console: Console, *, verbosity: int = 1) -> None:
        self._console = console
        self._verbosity = verbosity
        self._now = _Now(console)
        self._live: Live | None = None
        self._groups: dict[str, tuple[str, int]] = {}
        self._lines: deque[str] = deque(maxlen=_KEPT_LINES)

    def __call__(self, event: Event) -> None:
        match event:
            case events.RunStarted():
                dry_run = Text("  dry run", style="yellow") if event.dry_run else Text()
                self._console.print(Text(event.name, style="bold") + Text(f"  {event.file}", style="dim") + dry_run)
                self._now.step_count = event.step_count
                self._show()
            case events.StepStarted():
                self._start(event)
            case events.ConfirmationRequested():
                self._hide()
            case events.StepOutputWritten():
                self._output(event)
            case events.AttemptFailed():
                self._retry(event)
            case events.StepFinished():
                self._finish(event)
            case events.StopRequested():
                self._stop(event)
            case events.RunFinished():
                self._hide()
                self._sum_up(event.result)

    def close(self) -> None:
        self._hide()

    def _show(self) -> None:
        if self._live is None:
            # The runner replaces the standard streams; rich must not do so as well.
            self._live = Live(
                self._now,
                console=self._console,
                refresh_per_second=10,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._live.start()

    def _hide(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _start(self, event: events.StepStarted) -> None:
        self._show()
        depth = len(event.group_ids)
        if event.argv is None:
            self._groups[event.step_id] = (event.name, depth)
            self._console.print(Text("  " * depth + "▸ ", style="blue") + Text(event.name, style="bold"))
            return
        self._lines.clear()
        self._now.start(event.name, " ".join(event.argv))
        if self._verbosity > 1:
            self._console.print(Text("  " * depth + "$ " + " ".join(event.argv), style="dim"))

    def _output(self, event: events.StepOutputWritten) -> None:
        self._lines.append(event.line)
        self._now.lines.append(event.line)
        if self._verbosity > 1:
            self._console.print(Text(f"    {event.line}", style="dim"))

    def _retry(self, event: events.AttemptFailed) -> None:
        pause = texts.duration(event.delay_seconds)
        count = f"attempt {event.attempt} of {event.attempt_count}"
        text = f"  ↻ {event.step_id}: {count} failed: {texts.failure(event.failure)}; next in {pause}"
        self._console.print(Text(text, style="yellow"))

    def _finish(self, event: events.StepFinished) -> None:
        result, depth = event.result, len(event.group_ids)
        self._now.finish()
        if event.result.is_group:
            self._groups.setdefault(result.step_id, (result.name, depth))
        else:
            self._now.done_count += 1
        if event.result.is_group and result.status is StepStatus.SUCCEEDED:
            return
        self._console.print(Padding(_line(result), (0, 0, 0, 2 * depth)))
        for warning in result.warnings:
            self._console.print(Text(f"    warning: {warning}", style="yellow"))
        if result.is_failure and not event.result.is_group:
            self._explain(result)

    def _explain(self, result: StepResult) -> None:
        if self._verbosity <= 1:
            for line in self._lines:
                self._console.print(Text("    │ ", style="red") + Text(line, style="dim"))
        if result.failure is None:
            return
        for line in result.failure.message.splitlines()[1:]:
            self._console.print(Text(f"    {line}", style="red"))
        if self._verbosity > 1:
            self._console.print(Text(result.failure.traceback, style="dim"))
        elif at := texts.place(result.failure):
            self._console.print(Text(f"    {at}", style="dim"))

    def _stop(self, event: events.StopRequested) -> None:
        if event.is_immediate:
            text = f"{event.signal_name}: ending the current command"
        else:
            text = f"{event.signal_name}: stopping after the current command; signal again to end it at once"
        self._console.print(Text(text, style="bold magenta"))

    def _sum_up(self, result: RunResult) -> None:
        if self._verbosity > 0:
            self._console.print()
            self._console.print(_table(result, self._groups))
        text = texts.counts(result, group_ids=frozenset(self._groups))
        code = f", exit code {result.exit_code}" if result.exit_code else ""
        line = Text(result.status.value, style=_RUN_STYLES[result.status])
        self._console.print(line + Text(f": {text} in {texts.duration(result.duration_seconds)}{code}"))


class _Now:
    """What runs now; rendered when rich asks for it, never per event."""

    def __init__(self, console: Console) -> None:
        self.lines: deque[str] = deque(maxlen=_LIVE_LINES)
        self.step_count = 0
        self.done_count = 0
        self._console = console
        self._spinner = Spinner("dots", style="blue")
        self._name = ""
        self._argv = ""
        self._started = 0.0

    def start(self, name: str, argv: str) -> None:
        self.lines.clear()
        self._name, self._argv, self._started = name, argv, time.monotonic()

    def finish(self) -> None:
        self._name = ""

    def __rich__(self) -> RenderableType:
        if not self._name:
            return Text()
        spent = texts.duration(time.monotonic() - self._started)
        title = Text.assemble(
            (self._name, "bold"), (f"  {self._argv}" if self._argv != self._name else "", "dim"), overflow="ellipsis"
        )
        title.no_wrap = True
        count = f"{min(self.done_count + 1, self.step_count)}/{self.step_count}" if self.step_count else ""
        row = Table.grid(padding=(0, 1))
        row.add_column(width=2)
        row.add_column(ratio=1)
        row.add_column(justify="right")
        row.expand = True
        row.add_row(self._spinner, title, Text(f"{count}  {spent}", style="blue"))
        lines = [Text(f"    {line}", style="dim", no_wrap=True, overflow="ellipsis") for line in tuple(self.lines)]
        return Group(row, *lines)


def _line(result: StepResult) -> Text:
    mark, style = ("!", "bold yellow") if result.tolerated else _STYLES[result.status]
    line = Text(f"{mark} ", style=style) + Text(result.name, style="" if result.attempt_count else "dim")
    if result.attempt_count:
        line += Text(f"  {texts.duration(result.duration_seconds)}", style="dim")
    note = texts.note(result) or ("not run" if result.status is StepStatus.NOT_RUN else "")
    return line + Text(f"  {note}" if note else "", style=style if result.is_failure else "dim")


def _table(result: RunResult, groups: dict[str, tuple[str, int]]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("Step", "Status", "Time", "Note"):
        table.add_column(heading, justify="right" if heading == "Time" else "left", overflow="fold")
    for step in result.steps:
        if step.step_id in groups or step.reason == "not due":
            continue
        _, style = ("!", "bold yellow") if step.tolerated else _STYLES[step.status]
        status = "allowed" if step.tolerated else step.status.value.replace("_", " ")
        spent = texts.duration(step.duration_seconds) if step.attempt_count else ""
        table.add_row(Text(step.name), Text(status, style=style), spent, Text(texts.note(step), style="dim"))
    return table


def build(*, stream: IO[str], verbosity: int, no_color: bool, force_color: bool) -> RichReporter:
    """A reporter for a terminal."""
    console = Console(file=stream, no_color=no_color, force_terminal=True if force_color else None, highlight=False)
    return RichReporter(console, verbosity=verbosity)
