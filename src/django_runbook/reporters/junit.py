"""Writes a JUnit file for Jenkins and GitLab, atomically at the end of the run.

There is no common schema, so the file has only what both read. GitLab reads the text of an element, uses ``classname``
as the suite and identifies a case by its names, which are therefore unique; Jenkins shows the rest.
"""

from __future__ import annotations

import datetime
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from django_runbook import events
from django_runbook.events import Event
from django_runbook.file_writing import replace_private
from django_runbook.reporters import phrases
from django_runbook.reporters.buffers import HeadTailBuffer
from django_runbook.reporters.step_tree import Tree
from django_runbook.results import Failure, RunResult, RunStatus, StepResult, StepStatus
from django_runbook.structs import MutableStruct, field

_HEAD, _TAIL = 50, 150
_MAX_LINE: Final = 1000
# GitLab accepts at most 30 MB, and all of it stays in memory until the end of the run.
_MAX_OUTPUT: Final = 10 * 1024 * 1024
_TOO_MUCH: Final = "(omitted: the outputs of this run are too long for one report)"
_ILLEGAL: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# A command that failed is a failure; a command that was ended from outside is an error.
_ELEMENTS: Final = {
    StepStatus.FAILED: "failure",
    StepStatus.TIMED_OUT: "error",
    StepStatus.INTERRUPTED: "error",
    StepStatus.SKIPPED: "skipped",
    StepStatus.NOT_RUN: "skipped",
}


class _Case(MutableStruct):
    """Describes one ``testcase``; ``element`` is empty if the step succeeded."""

    step: StepResult
    classname: str
    element: str = ""
    type: str = ""
    message: str = ""
    body: str = ""
    output: list[str] = field(default_factory=list)


class JUnitReporter:
    """Collects results and the first and last lines of each output, and writes the file at the end of the run."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._tree = Tree()
        self._run: events.RunStarted | None = None
        self._running: dict[str, events.StepStarted] = {}
        self._results: dict[str, StepResult] = {}
        self._excerpts: dict[str, HeadTailBuffer] = {}
        self._outputs: dict[str, str] = {}
        self._output_length = 0
        self._is_written = False

    def __call__(self, event: Event) -> None:
        self._tree.add(event)
        match event:
            case events.RunStarted():
                self._run = event
            case events.StepStarted() if event.argv is not None:
                self._running[event.step_id] = event
                self._excerpts[event.step_id] = HeadTailBuffer(head_count=_HEAD, tail_count=_TAIL)
            case events.StepOutputWritten():
                self._buffer(event.step_id, event.line)
            case events.AttemptFailed():
                self._buffer(event.step_id, f"({phrases.attempt(event)})")
            case events.UnusualNoticed():
                self._note(event.step_id, f"(unusual: {event.text})")
            case events.StepFinished():
                self._running.pop(event.result.step_id, None)
                self._close_output(event.result.step_id)
                self._results[event.result.step_id] = event.result
            case events.RunFinished():
                self._write(event.result)

    def close(self) -> None:
        """Write the file also if the run was aborted; unfinished steps are errors."""
        if self._run is None or self._is_written:
            return
        for step_id in self._running:
            self._close_output(step_id)
        aborted = [_aborted(started) for started in self._running.values()]
        reason = "the run was aborted"
        steps = (*self._results.values(), *aborted)
        self._write(RunResult(status=RunStatus.FAILED, exit_code=1, steps=steps, reason=reason))

    def _buffer(self, step_id: str, line: str) -> None:
        if excerpt := self._excerpts.get(step_id):
            excerpt.add(line if len(line) <= _MAX_LINE else line[:_MAX_LINE] + "...")

    def _note(self, step_id: str, line: str) -> None:
        """Add a line to the output of a step, also of one that does not run."""
        self._excerpts.setdefault(step_id, HeadTailBuffer(head_count=_HEAD, tail_count=_TAIL)).add(line)

    def _close_output(self, step_id: str) -> None:
        if excerpt := self._excerpts.pop(step_id, None):
            text = "\n".join(excerpt.lines())
            self._output_length += len(text)
            self._outputs[step_id] = text if self._output_length <= _MAX_OUTPUT or not text else _TOO_MUCH

    def _write(self, result: RunResult) -> None:
        assert self._run is not None
        self._is_written = True
        replace_private(
            self._path, document(self._run, list(self._cases(result)), duration_seconds=result.duration_seconds)
        )

    def _cases(self, result: RunResult) -> Iterator[_Case]:
        """Yield the commands, and groups or the run itself if no command explains their failure."""
        causes = {step.step_id: is_ignored for step, is_ignored in self._tree.causes(result.steps)}
        for step in result.steps:
            if phrases.is_not_due(step) or (step.is_group and step.step_id not in causes):
                continue
            yield self._case(step, is_ignored=causes.get(step.step_id, False))
        is_explained = any(not is_ignored for is_ignored in causes.values())
        # A run that its file allows to be skipped while its lock is held has not failed.
        is_refused = result.status is RunStatus.REFUSED and result.exit_code
        is_bad = result.status in {RunStatus.FAILED, RunStatus.INTERRUPTED} or is_refused
        if is_bad and (result.reason or not is_explained):
            name = self._run.name if self._run is not None else ""
            of_run = StepResult(step_id="", name=name, status=StepStatus.FAILED, reason=result.reason)
            message = result.reason or f"the run ended as {result.status}"
            yield _Case(step=of_run, classname=name, element="error", type=result.status, message=message, body=message)

    def _case(self, step: StepResult, *, is_ignored: bool) -> _Case:
        assert self._run is not None
        output = self._outputs.get(step.step_id, "")
        case = _Case(
            step=step,
            classname=".".join((self._run.name, *self._tree.group_ids(step.step_id))),
            output=[*(f"warning: {warning}" for warning in step.warnings), *filter(None, [output])],
        )
        if step.is_failure and is_ignored:
            case.output.insert(0, f"{phrases.words(step.status)} but ignored: {phrases.explanation(step)}")
        elif step.status in _ELEMENTS:
            case.element = _ELEMENTS[step.status]
            case.type = step.failure.error_type if step.failure is not None else step.status
            case.message = phrases.note(step) or phrases.words(step.status)
            case.body = _body(step)
        return case


def _body(step: StepResult) -> str:
    if step.failure is None or not step.failure.traceback:
        return phrases.explanation(step)
    return f"{step.failure.message}\n\n{step.failure.traceback}"


def _aborted(started: events.StepStarted) -> StepResult:
    failure = Failure(error_type="Aborted", message="the run was aborted while the step was running", exit_code=1)
    return StepResult(
        step_id=started.step_id,
        name=started.name,
        status=StepStatus.INTERRUPTED,
        role=started.role,
        failure=failure,
        file=started.file,
        line=started.line,
    )


def document(run: events.RunStarted, cases: list[_Case], *, duration_seconds: float) -> bytes:
    """Build the document of one run."""
    counts = Counter(case.element for case in cases)
    numbers = {
        "tests": str(len(cases)),
        "failures": str(counts["failure"]),
        "errors": str(counts["error"]),
    }
    root = ElementTree.Element("testsuites", {"name": _legal(run.name), **numbers, "time": _seconds(duration_seconds)})
    suite = ElementTree.SubElement(
        root,
        "testsuite",
        {
            "name": _legal(run.name),
            **numbers,
            "skipped": str(counts["skipped"]),
            "time": _seconds(duration_seconds),
            "timestamp": run.at.astimezone(datetime.UTC).replace(tzinfo=None).isoformat(timespec="seconds"),
            "file": _legal(run.file),
        },
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in (("run_id", run.run_id), ("dry_run", str(run.dry_run).lower())):
        ElementTree.SubElement(properties, "property", {"name": name, "value": _legal(value)})
    for case, name in zip(cases, _names(cases), strict=True):
        _add(suite, case, name=name)
    ElementTree.indent(root)
    content: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return content + b"\n"


def _names(cases: Iterable[_Case]) -> Iterator[str]:
    """Yield the name of each step, with its ID if another step of its group has the same name."""
    counts = Counter((case.classname, case.step.name) for case in cases)
    for case in cases:
        is_unique = counts[case.classname, case.step.name] == 1
        yield case.step.name if is_unique else f"{case.step.name} ({case.step.step_id})"


def _add(suite: ElementTree.Element, case: _Case, *, name: str) -> None:
    step = case.step
    place = {"file": _legal(step.file), "line": str(step.line)} if step.file and step.line else {}
    values = {"classname": _legal(case.classname), "name": _legal(name), "time": _seconds(step.duration_seconds)}
    element = ElementTree.SubElement(suite, "testcase", values | place)
    if case.element:
        attributes = {"message": _legal(case.message), "type": _legal(case.type)}
        ElementTree.SubElement(element, case.element, attributes).text = _legal(case.body)
    if case.output:
        ElementTree.SubElement(element, "system-out").text = _legal("\n".join(case.output))


def _seconds(duration: float) -> str:
    return f"{duration:.3f}"


def _legal(text: str) -> str:
    """Remove characters that XML cannot represent."""
    return _ILLEGAL.sub("", text)


def build(path: str | os.PathLike[str]) -> JUnitReporter:
    """Create a reporter that writes this file."""
    return JUnitReporter(Path(path))
