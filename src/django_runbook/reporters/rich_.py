"""Shows a run on a terminal: finished steps, running steps with their last lines, and finally a table of problems."""

from __future__ import annotations

from collections.abc import Iterable
from typing import IO, Any, Final, cast

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from django_runbook import events, wording
from django_runbook.cleaning import encodable
from django_runbook.events import Event
from django_runbook.reporters import phrases
from django_runbook.reporters.buffers import HeadTailBuffer
from django_runbook.reporters.live_display import Activities, Display, Terminal
from django_runbook.reporters.step_tree import Tree
from django_runbook.results import RunResult, RunStatus, StepResult, StepStatus

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
    RunStatus.REFUSED: "bold cyan",
}


class RichReporter:
    """Draws at most ten times a second, however much the commands write."""

    def __init__(self, console: Terminal, *, verbosity: int = 1) -> None:
        self._console = console
        self._verbosity = verbosity
        self._activities = Activities(console)
        self._display: Display | None = None
        self._tree = Tree()
        self._excerpts: dict[str, HeadTailBuffer] = {}
        self._concurrent: dict[str, str] = {}
        # The loops whose items have not reported any progress.
        self._loops: dict[str, events.StepStarted] = {}
        self._is_dry_run = False
        # Nothing is drawn while a question waits for its answer.
        self._is_asking = False

    def __call__(self, event: Event) -> None:
        self._show(event)
        if self._console.error is not None:
            raise self._console.error

    def _show(self, event: Event) -> None:
        self._tree.add(event)
        match event:
            case events.RunStarted():
                self._is_dry_run = event.dry_run
                self._print(_heading(event))
                if event.inline_reason:
                    self._print(Text(f"  {phrases.inline(event)}", style="dim"))
                self._activities.step_count = event.step_count
                self._resume_display()
            case events.StepStarted():
                self._resume_display(event.step_id, *event.group_ids)
                self._start(event)
            case events.ConfirmationRequested():
                self._hide()
                self._is_asking = True
            case events.ConfirmationEnded():
                self._is_asking = False
                self._resume_display()
            case events.HistoryAwaited():
                self._print(Text(f"  ⧗ {phrases.waiting(event)}", style="yellow"))
            case events.LockAwaited():
                self._resume_display(event.step_id)
                self._activities.wait(event)
                self._print(Text(f"  ⧗ {phrases.waiting(event)}", style="yellow"))
            case events.LockRetaken() | events.UnusualNoticed():
                self._print(Text(f"! {phrases.warning(event)}", style="bold yellow"))
            case events.ForecastMade():
                self._activities.forecast_end = phrases.forecast_end(event)
                self._print(Text(f"  {phrases.forecast(event)}", style="dim"))
            case events.StepQueued():
                self._place(event.step_id, f"queued {phrases.queued(event)}")
            case events.StepClaimed():
                self._place(event.step_id, f"claimed {phrases.claimed(event)}")
            case events.StepOutputWritten():
                self._output(event)
            case events.StepProgress():
                self._progress(event)
            case events.AttemptFailed():
                self._retry(event)
            case events.StepFinished():
                self._resume_display(event.result.step_id, *event.group_ids)
                self._finish(event)
            case events.StopRequested():
                hint = "" if event.is_immediate else "; signal again to end it at once"
                self._print(Text(phrases.stopping(event) + hint, style="bold magenta"))
            case events.RunFinished():
                self.close()
                self._summarize(event.result)

    def close(self) -> None:
        self._is_asking = False
        self._hide()
        self._activities.clear()

    def _print(self, shown: RenderableType) -> None:
        self._console.collect(shown)
        if self._display is None and not self._is_asking:
            self._console.flush()

    def _resume_display(self, *step_ids: str) -> None:
        """Show the display again; these steps and the groups around them no longer wait for a lock."""
        self._activities.end_waiting((*step_ids, ""))
        if self._display is None and not self._is_asking:
            self._console.flush()
            self._display = Display(self._activities, console=self._console)
            self._display.start()

    def _hide(self) -> None:
        if self._display is not None:
            self._display.stop()
            self._display = None
        self._console.flush()

    def _start(self, event: events.StepStarted) -> None:
        indent = "  " * len(event.group_ids)
        if event.argv is None:
            count = "" if event.item_count is None else f"  {wording.number_of(event.item_count, 'item')}"
            if event.item_count is not None:
                self._loops[event.step_id] = event
            name = Text(event.name, style="bold") + _id(event.name, event.step_id)
            self._print(Text(f"{indent}▸ ", style="blue") + name + Text(count, style="dim"))
            return
        self._activities.start(event)
        self._excerpts[event.step_id] = HeadTailBuffer(head_count=0, tail_count=_KEPT_LINES)
        if event.is_concurrent:
            self._concurrent[event.step_id] = event.name
        if self._verbosity > 1:
            self._print(Text(f"{indent}$ {' '.join(event.argv)}", style="dim"))

    def _progress(self, event: events.StepProgress) -> None:
        if event.step_id in self._loops:
            # A loop is shown once it reports the sum of its items' progress.
            self._activities.start(self._loops.pop(event.step_id))
        if running := self._activities.get(event.step_id):
            running.pace.add(event)

    def _place(self, step_id: str, text: str) -> None:
        """Show where a step runs beside its name, while it runs."""
        if running := self._activities.get(step_id):
            running.place = text
        if self._verbosity > 1:
            self._print(Text(f"  ⧗ {step_id} {text}", style="dim"))

    def _output(self, event: events.StepOutputWritten) -> None:
        if running := self._activities.get(event.step_id):
            running.lines.append(event.line)
        if self._verbosity > 1:
            # Of steps that run at the same time each line says whose it is: a person at a terminal wants to see it now.
            name = self._concurrent.get(event.step_id, "")
            self._print(Text.assemble("    ", (f"{name} │ " if name else "", "blue"), (event.line, "dim")))
        elif excerpt := self._excerpts.get(event.step_id):
            excerpt.add(event.line)

    def _retry(self, event: events.AttemptFailed) -> None:
        text = f"  ↻ {event.step_id}: {phrases.attempt(event)}; next in {wording.short_duration(event.delay_seconds)}"
        self._print(Text(text, style="yellow"))

    def _finish(self, event: events.StepFinished) -> None:
        result, depth = event.result, len(event.group_ids)
        self._activities.finish(result.step_id)
        self._loops.pop(result.step_id, None)
        self._concurrent.pop(result.step_id, None)
        excerpt = self._excerpts.pop(result.step_id, None)
        if not result.is_group:
            self._activities.done_count += 1
        elif result.status is StepStatus.SUCCEEDED and not result.warnings:
            return
        self._print(Padding(_line(result, is_dry_run=self._is_dry_run), (0, 0, 0, 2 * depth)))
        for warning in result.warnings:
            self._print(Text(f"    warning: {warning}", style="yellow"))
        if result.is_failure or self._is_dry_run:
            style = "red" if result.is_failure else "blue"
            for line in excerpt.lines() if excerpt is not None else ():
                self._print(Text("    │ ", style=style) + Text(line, style="dim"))
        if result.is_failure and not phrases.is_caused_inside(result):
            self._explain(result)

    def _explain(self, result: StepResult) -> None:
        if result.failure is None:
            return
        for line in result.failure.message.splitlines()[1:]:
            self._print(Text(f"    {line}", style="red"))
        if self._verbosity > 1:
            self._print(Text(result.failure.traceback, style="dim"))
        elif at := phrases.place(result.failure):
            self._print(Text(f"    {at}", style="dim"))

    def _summarize(self, result: RunResult) -> None:
        problems = list(self._tree.problems(result.steps))
        if self._verbosity > 0 and problems:
            self._console.print()
            self._console.print(_table(problems, self._tree))
        line = Text(result.status.value, style=_RUN_STYLES[result.status])
        self._console.print(line + Text(f": {phrases.summary(result)}"))
        for timing in phrases.timings(result):
            self._console.print(Text(timing))
        if result.advice:
            # A line wrapped by the terminal can be copied as one line; a line wrapped by rich cannot.
            self._console.print(Text(result.advice), soft_wrap=True)


def _heading(event: events.RunStarted) -> Text:
    if event.attempt > 1:
        return Text(phrases.heading(event), style="bold")
    dry_run = Text("  dry run", style="yellow") if event.dry_run else Text()
    return Text(event.name, style="bold") + Text(f"  {event.file}", style="dim") + dry_run


def _id(name: str, step_id: str) -> Text:
    return Text("" if name == step_id else f"  {step_id}", style="dim")


def _line(result: StepResult, *, is_dry_run: bool) -> Text:
    mark, style = ("!", "bold yellow") if result.ignored else _STYLES[result.status]
    line = Text(f"{mark} ", style=style) + Text(result.name, style="" if result.attempt_count else "dim")
    line += _id(result.name, result.step_id)
    if result.attempt_count:
        line += Text(f"  {wording.short_duration(result.duration_seconds)}", style="dim")
    note = phrases.note_and_rows(result, is_dry_run=is_dry_run)
    note = note or ("not run" if result.status is StepStatus.NOT_RUN else "")
    # Only the color would show it.
    note = f"ignored: {note}" if result.ignored else note
    return line + Text(f"  {note}" if note else "", style=style if result.is_failure else "dim")


def _table(problems: Iterable[tuple[int, StepResult]], tree: Tree) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
    for heading in ("Step", "Status", "Time", "Note"):
        table.add_column(heading, justify="right" if heading == "Time" else "left", overflow="fold")
    for depth, step in problems:
        is_warning = step.ignored or tree.has_ignored(step)
        style = "bold yellow" if is_warning else _STYLES[step.status][1]
        spent = wording.short_duration(step.duration_seconds) if step.attempt_count else ""
        name = Text("  " * depth) + Text(step.name, style="bold" if step.is_group else "")
        name += _id(step.name, step.step_id)
        table.add_row(name, Text(tree.status(step), style=style), spent, Text(tree.note(step), style="dim"))
    return table


class _EscapingStream:
    """Escapes characters that the encoding of a stream lacks."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(encodable(text, self._stream))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def build(*, stream: IO[str], verbosity: int, no_color: bool, force_color: bool) -> RichReporter:
    """Create a reporter for a terminal."""
    escaping = cast("IO[str]", _EscapingStream(stream))
    console = Terminal(escaping, no_color=no_color, force_terminal=True if force_color else None)
    return RichReporter(console, verbosity=verbosity)
