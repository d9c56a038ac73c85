"""Write rows for people: a table of runs, one run with its steps, the output of a step."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from django.utils import timezone

from django_runbook.fields import storable
from django_runbook.models import Run, StepRun
from django_runbook.process.streams import tidy_text
from django_runbook.results import StepStatus
from django_runbook.wording import exact_duration

_SYMBOLS = {"succeeded": "✓", "skipped": "-", "not_run": "-", "running": "…"}
_FAILED = frozenset((StepStatus.FAILED.value, StepStatus.TIMED_OUT.value, StepStatus.INTERRUPTED.value))
_ID_LENGTH = 8
# What a line about a step does not need.
LONG_COLUMNS = ("output_head", "output_tail", "traceback", "output", "definition")


def table(runs: Sequence[tuple[Run, str]]) -> Iterator[str]:
    """Yield the lines of a table of runs, each with the status that it has in truth."""
    head = ("RUN", "RUNBOOK", "STATUS", "STARTED", "TOOK", "ATTEMPTS")
    rows = [
        (run.id[:_ID_LENGTH], _line(run.runbook), status, _time(run.started_at), _took(run), str(run.attempt_count))
        for run, status in runs
    ]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        yield "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()


def run_lines(run: Run, status: str, steps: Iterable[StepRun]) -> Iterator[str]:
    """Yield the lines of one run, with its steps in the order in which they began."""
    yield f"{_line(run.name)} ({_line(run.file)})"
    yield f"  run       {run.id}"
    yield f"  status    {status}" + (f", exit code {run.exit_code}" if run.exit_code is not None else "")
    if run.reason:
        yield f"  reason    {_line(run.reason)}"
    yield f"  started   {_time(run.started_at)} by {run.user} on {run.host}, process {run.pid}"
    if run.finished_at is not None:
        yield f"  finished  {_time(run.finished_at)}, after {_took(run)}"
    if run.attempt_count > 1:
        yield f"  attempts  {run.attempt_count}"
    if run.git_commit:
        yield f"  commit    {run.git_commit[:12]}"
    for name, value in run.params.items():
        yield f"  param     {name} = {_line(value)}"
    for step in steps:
        yield step_line(step)


def step_line(step: StepRun) -> str:
    """Write one attempt of a step as a line."""
    indent = "  " * (len(step.group_ids) + 1)
    symbol = "!" if step.tolerated else _SYMBOLS.get(step.status, "✗")
    notes = [step.status]
    if step.took_seconds is not None:
        notes.append(_seconds(step.took_seconds))
    if step.attempt > 1:
        notes.append(f"attempt {step.attempt}")
    if step.done_count is not None:
        notes.append(f"{step.done_count} of {step.total_count}" if step.total_count else f"{step.done_count} done")
    why = step.reason or " ".join(step.message.split("\n", 1)[:1])
    return f"{indent}{symbol} {step.step_id}: {', '.join(notes)}" + (f": {_line(why)}" if why else "")


def output_lines(step: StepRun) -> Iterator[str]:
    """Yield what a step has written, as far as it was kept, and its error."""
    if step.output_head:
        yield step.output_head
    if step.left_out_count:
        yield f"… {step.left_out_count} lines are left out …"
    if step.output_tail:
        yield step.output_tail
    if step.traceback or step.message:
        yield step.traceback.rstrip() or f"{step.error_type}: {step.message}"


def failures(steps: Iterable[StepRun]) -> list[StepRun]:
    """Return the last attempts of the steps that failed, without the groups around them."""
    latest = {step.step_id: step for step in steps if step.kind == "command"}
    return [step for step in latest.values() if step.status in _FAILED]


def as_dict(row: Run | StepRun, **more: Any) -> dict[str, Any]:
    """Return all columns of a row as plain data, but for the token of its process."""
    left_out = {"owner"}
    values = {
        one.attname: getattr(row, one.attname) for one in row._meta.concrete_fields if one.attname not in left_out
    }
    return {name: _plain(value) for name, value in {**values, **more}.items()}


def _line(value: object) -> str:
    """Write a value as one line that moves no cursor, and that every stream and every mail takes."""
    return storable(" ".join(tidy_text(str(value), str).splitlines()))


def _plain(value: Any) -> Any:
    """Return a value as every reader of JSON takes it: Python reads and writes numbers that JSON does not have."""
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(value)
    return value.isoformat() if isinstance(value, datetime.datetime) else value


def _time(at: datetime.datetime) -> str:
    local = timezone.localtime(at) if timezone.is_aware(at) else at
    return local.strftime("%Y-%m-%d %H:%M:%S")


def _took(run: Run) -> str:
    return "" if run.took_seconds is None else _seconds(run.took_seconds)


def _seconds(seconds: float) -> str:
    return exact_duration(round(seconds)) if seconds >= 10 else f"{seconds:.1f}s"
