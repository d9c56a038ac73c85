"""Writes the log of a GitHub Actions job: a group for each step, annotations, and a summary of the run.

Output of commands must not be interpreted: see https://docs.github.com/actions/reference/workflow-commands-for-github-actions.
"""

from __future__ import annotations

import functools
import html
import os
import re
import secrets
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Final

from django_runbook import events, wording
from django_runbook.events import Event
from django_runbook.reporters import phrases
from django_runbook.reporters.buffers import SpooledBuffer
from django_runbook.reporters.line_stream import LineStream
from django_runbook.reporters.pace import Pace
from django_runbook.reporters.step_tree import Tree
from django_runbook.results import RunResult, StepResult, StepStatus
from django_runbook.structs import MutableStruct, field

# GitHub rejects a summary of more than 1 MiB, and other programs of the job may add to it.
_MAX_SUMMARY: Final = 512 * 1024
_MAX_CELL: Final = 300
_MARKDOWN: Final = re.compile(r"([\\`*_{}\[\]()#+!|~@])")
_ICONS: Final = {
    StepStatus.SUCCEEDED: ":white_check_mark:",
    StepStatus.FAILED: ":x:",
    StepStatus.TIMED_OUT: ":x:",
    StepStatus.SKIPPED: ":fast_forward:",
    StepStatus.INTERRUPTED: ":stop_sign:",
    StepStatus.NOT_RUN: ":white_circle:",
}


class _LogGroup(MutableStruct):
    """Holds the state of a running command; ``buffer`` has the output of a concurrent one."""

    name: str
    argv: tuple[str, ...]
    buffer: SpooledBuffer | None
    pace: Pace = field(default_factory=Pace)
    token: str = ""


class GitHubReporter:
    """Writes each command as a group that can be expanded; a concurrent command is written when it ends.

    While output is shown, GitHub's runner ignores workflow commands until it reads a secret token. Annotations come at
    the end, when it is known which failures are ignored.
    """

    def __init__(
        self,
        stream: IO[str],
        *,
        verbosity: int = 1,
        summary: Path | None = None,
        place: Callable[[str], str] = str,
        new_token: Callable[[], str] = secrets.token_hex,
    ) -> None:
        self._lines = LineStream(stream)
        self._verbosity = verbosity
        self._summary = summary
        self._place = place
        self._new_token = new_token
        self._tree = Tree()
        self._name = ""
        self._running: dict[str, _LogGroup] = {}
        self._results: dict[str, StepResult] = {}
        self._is_finished = self._is_dry_run = False

    def __call__(self, event: Event) -> None:
        self._tree.add(event)
        match event:
            case events.RunStarted():
                self._name, self._is_dry_run = event.name, event.dry_run
                self._write_report(f"runbook: {phrases.heading(event)}")
                if event.inline_reason:
                    self._write_report(phrases.inline(event))
            case events.StepStarted():
                self._start(event)
            case events.ConfirmationRequested():
                self._lines.defer()
            case events.ConfirmationEnded():
                self._lines.resume()
            case events.HistoryAwaited():
                self._write_report(f"waiting: {phrases.waiting(event)}")
            case events.LockAwaited():
                self._write_report(f"waiting: {event.step_id}{': ' if event.step_id else ''}{phrases.waiting(event)}")
            case events.LockRetaken():
                self._command("warning", phrases.retaken(event), title=self._name)
            case events.ForecastMade():
                self._write_report(f"forecast: {phrases.forecast(event)}")
            case events.UnusualNoticed():
                self._command("warning", f"unusual: {phrases.unusual(event)}", title=self._name)
            case events.StepQueued():
                self._output(event.step_id, f"queued: {phrases.queued(event)}")
            case events.StepClaimed():
                self._output(event.step_id, f"claimed: {phrases.claimed(event)}")
            case events.StepOutputWritten():
                self._output(event.step_id, event.line)
            case events.StepProgress():
                if running := self._running.get(event.step_id):
                    running.pace.add(event)
            case events.AttemptFailed():
                self._retry(event)
            case events.StepFinished():
                self._finish(event.result)
            case events.StopRequested():
                self._write_report(f"stopping: {phrases.stopping(event)}")
            case events.RunFinished():
                self._summarize(event.result)

    def close(self) -> None:
        """Show what is known if the run was aborted."""
        self._lines.resume()
        for running in self._running.values():
            self._end_group(running, title=f"{running.name} (aborted)")
        self._running.clear()
        if not self._is_finished:
            self._annotate_all(self._results.values())

    def _start(self, event: events.StepStarted) -> None:
        name = phrases.labelled(event.name, event.step_id)
        if event.item_count is not None:
            self._write_report(f"loop: {name}: {wording.number_of(event.item_count, 'item')}")
        elif event.argv is None:
            self._write_report(f"group: {name}")
        else:
            running = _LogGroup(name=name, argv=event.argv, buffer=SpooledBuffer() if event.is_concurrent else None)
            self._running[event.step_id] = running
            if running.buffer is None:
                self._begin_group(running, title=name)

    def _begin_group(self, running: _LogGroup, *, title: str) -> None:
        self._command("group", title)
        running.token = self._new_token()
        self._command("stop-commands", running.token)
        self._write(f"$ {' '.join(running.argv)}")

    def _end_group(self, running: _LogGroup, *, title: str, traceback: str = "") -> None:
        if running.buffer is not None:
            self._begin_group(running, title=title)
            for line in running.buffer.lines():
                self._write(line)
            running.buffer.close()
        if text := running.pace.text():
            self._write(f"progress: {text}")
        for line in traceback.splitlines() if self._verbosity > 1 else ():
            self._write(line)
        self._command(running.token)
        self._command("endgroup")

    def _output(self, step_id: str, line: str) -> None:
        running = self._running.get(step_id)
        if running is not None and running.buffer is not None:
            running.buffer.add(line)
        elif running is not None:
            self._write(line)

    def _retry(self, event: events.AttemptFailed) -> None:
        text = (
            f"retry: {event.step_id}: {phrases.attempt(event)}; next in {wording.short_duration(event.delay_seconds)}"
        )
        if event.step_id in self._running:
            self._output(event.step_id, text)
        else:
            self._write_report(text)

    def _finish(self, result: StepResult) -> None:
        self._results[result.step_id] = result
        if running := self._running.pop(result.step_id, None):
            traceback = result.failure.traceback if result.failure is not None else ""
            self._end_group(running, title=phrases.timed(result), traceback=traceback)
        if result.is_group and result.status is StepStatus.SUCCEEDED:
            return
        note = phrases.note_and_rows(result, is_dry_run=self._is_dry_run)
        self._write_report(f"{phrases.status(result)}: {phrases.timed(result)}{': ' if note else ''}{note}")

    def _summarize(self, result: RunResult) -> None:
        self._is_finished = True
        self._annotate_all(result.steps)
        if result.reason:
            kind = "error" if result.exit_code else "warning"
            self._command(kind, result.reason, title=f"{self._name}: nothing was run")
        for warning in result.warnings:
            self._command("warning", warning, title=self._name)
        self._write_report(f"{result.status}: {phrases.summary(result)}")
        for line in phrases.timings(result):
            self._write_report(line)
        if result.advice:
            self._write_report(result.advice)
        if self._summary is not None:
            # Other programs of the job may have written to it.
            with self._summary.open("a", encoding="utf-8", errors="backslashreplace") as file:
                file.write(summary(self._name, result, self._tree))

    def _annotate_all(self, steps: Iterable[StepResult]) -> None:
        """Write errors before warnings: GitHub shows ten of each."""
        listed = list(steps)
        causes = self._tree.causes(listed)
        for step in (step for step, is_ignored in causes if not is_ignored):
            self._annotate(
                "error", step, title=f"{phrases.labelled(step.name, step.step_id)}: {phrases.words(step.status)}"
            )
        for step in (step for step, is_ignored in causes if is_ignored):
            self._annotate(
                "warning",
                step,
                title=f"{phrases.labelled(step.name, step.step_id)}: {phrases.words(step.status)} but ignored",
            )
        for step in listed:
            for warning in step.warnings:
                self._annotate("warning", step, title=phrases.labelled(step.name, step.step_id), message=warning)

    def _annotate(self, kind: str, step: StepResult, *, title: str, message: str = "") -> None:
        place = {"file": self._place(step.file), "line": str(step.line)} if step.file and step.line else {}
        self._command(kind, message or phrases.explanation(step), **place, title=title)

    def _command(self, name: str, data: str = "", **properties: str) -> None:
        listed = ",".join(f"{key}={_escape_property(value)}" for key, value in properties.items())
        self._write(f"::{name}{' ' if listed else ''}{listed}::{_escape(data)}")

    def _write_report(self, line: str) -> None:
        """Write a line of the report, which may contain no command in the older form ``##[…]``."""
        self._write(line.replace("##[", "# #["))

    def _write(self, line: str) -> None:
        self._lines.write(line)


def summary(name: str, result: RunResult, tree: Tree) -> str:
    """Summarize a run as Markdown; if there are too many steps, successful ones are omitted first."""
    head = [
        f"### {_markdown(name)}: {result.status}",
        "",
        _markdown(phrases.summary(result)),
        "",
        "| | Step | Status | Time | Note |",
        "|---|---|---|---:|---|",
    ]
    listed = list(tree.rows(result.steps))
    rows = _fitting_rows(listed, tree)
    if len(rows) < len(listed):
        rows = _fitting_rows([(depth, step) for depth, step in listed if step.is_failure or step.warnings], tree)
    omitted_count = len(listed) - len(rows)
    note = ["", f"Not shown: {wording.number_of(omitted_count, 'more step')}."] if omitted_count else []
    advice = ["", _markdown(result.advice)] if result.advice else []
    return "\n".join([*head, *rows, *note, *advice, "", ""])


def _fitting_rows(listed: Iterable[tuple[int, StepResult]], tree: Tree) -> list[str]:
    rows, length = [], 0
    for depth, step in listed:
        row = _row(depth, step, tree)
        length += len(row.encode(errors="backslashreplace")) + 1
        if length > _MAX_SUMMARY:
            break
        rows.append(row)
    return rows


def _row(depth: int, step: StepResult, tree: Tree) -> str:
    icon = ":warning:" if step.ignored or tree.has_ignored(step) else _ICONS[step.status]
    spent = wording.short_duration(step.duration_seconds) if step.attempt_count else ""
    name = _markdown(step.name)
    # A long name is truncated, its ID is not.
    name += "" if step.name == step.step_id else f" ({_markdown(step.step_id)})"
    cells = (icon, "&emsp;" * depth + (f"**{name}**" if step.is_group else name), tree.status(step), spent)
    return "| " + " | ".join((*cells, _markdown(tree.note(step)))) + " |"


def _markdown(text: str) -> str:
    """Escape text for Markdown, also for a table cell."""
    line = " ".join(text.split())
    if len(line) > _MAX_CELL:
        line = line[: _MAX_CELL - 1] + "…"
    return html.escape(_MARKDOWN.sub(r"\\\1", line), quote=False)


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")


def in_workspace(file: str, *, workspace: str, directory: Path) -> str:
    """Return the path of a file relative to the root of the repository, as annotations need it."""
    path = Path(os.path.normpath(directory / file))
    return path.relative_to(workspace).as_posix() if workspace and path.is_relative_to(workspace) else file


def build(*, stream: IO[str], verbosity: int, no_color: bool, force_color: bool) -> GitHubReporter:
    """Create a reporter, which finds the path of the summary in the environment of the job."""
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    place = functools.partial(in_workspace, workspace=os.environ.get("GITHUB_WORKSPACE", ""), directory=Path.cwd())
    return GitHubReporter(stream, verbosity=verbosity, summary=Path(summary) if summary else None, place=place)
