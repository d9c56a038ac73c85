"""Formats rows as text: a table of runs, one run with its steps, the output of a step."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from django.utils import timezone

from django_runbook.journal.reading.failures import in_words
from django_runbook.models import RUNNING, UNFINISHED, Run, StepRun
from django_runbook.models.fields import to_db_text
from django_runbook.process.streams import clean_text
from django_runbook.results import RunStatus, StepStatus
from django_runbook.row_account import from_stored
from django_runbook.wording import LIBRARIES, exact_duration, in_doubt, in_short, named, usually

_SYMBOLS = {"succeeded": "✓", "skipped": "-", "not_run": "-", "running": "…"}
_ID_LENGTH = 8
# Errors with a message for the user: a traceback adds nothing.
_WITHOUT_TRACEBACK = frozenset(("CommandError", "SystemExit", ""))
# Columns that a line about a step does not need.
LONG_COLUMNS = ("output_head", "output_tail", "traceback", "output", "definition")


def table(runs: Sequence[tuple[Run, str]]) -> Iterator[str]:
    """Yield the lines of a table of runs, each with its status to display."""
    head = ("RUN", "RUNBOOK", "STATUS", "STARTED", "TOOK", "ATTEMPTS")
    rows = [
        (run.id[:_ID_LENGTH], _line(run.runbook), status, _time(run.started_at), _took(run), str(run.attempt_count))
        for run, status in runs
    ]
    yield from aligned(head, rows)


def aligned(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield the lines of a table, each column as wide as its longest text."""
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
    if run.forecast is not None:
        known = run.forecast
        yield f"  forecast  {usually(known['seconds'], known['most_seconds'], run_count=known['run_count'])}"
    for one in run.unusual:
        yield f"  unusual   {_line(one['step_id'])}: {_line(one['text'])}"
    if run.git_commit:
        yield f"  commit    {run.git_commit[:12]}"
    for name, value in run.params.items():
        yield f"  param     {name} = {_line(value)}"
    for name, value in run.options.get("env", {}).items():
        if value is not None:
            yield f"  env       {name} = {_line(value)}"
    is_dead = run.status == RUNNING and status == RunStatus.INTERRUPTED
    for step in steps:
        yield step_line(step, is_dead=is_dead)


def in_doubt_lines(run: Run, status: str, steps: Iterable[StepRun]) -> Iterator[str]:
    """Yield a line for each interrupted command, with the two ways to resume the run."""
    if status not in UNFINISHED:
        return
    latest = {step.step_id: step for step in steps if step.kind == "command"}
    for step in latest.values():
        if step.started_at is not None and step.status in {RUNNING, StepStatus.INTERRUPTED}:
            yield in_doubt(named(_line(step.name), step.step_id), step_id=step.step_id)


def started_text(run: Run) -> str:
    """Return when a run started, and how long it took if it has ended."""
    return _time(run.started_at) + (f", took {_took(run)}" if run.finished_at is not None else "")


def step_line(step: StepRun, *, is_dead: bool = False) -> str:
    """Format one attempt of a step as a line; ``is_dead`` is true if the process of its run died."""
    status = StepStatus.INTERRUPTED.value if is_dead and step.status == RUNNING else step.status
    indent = "  " * (len(step.group_ids) + 1)
    symbol = "!" if step.ignored else _SYMBOLS.get(status, "✗")
    notes = [in_words(status, is_ignored=step.ignored)]
    if step.took_seconds is not None:
        notes.append(_seconds(step.took_seconds))
    if step.attempt > 1:
        notes.append(f"attempt {step.attempt}")
    if step.done_count is not None:
        notes.append(f"{step.done_count} of {step.total_count}" if step.total_count else f"{step.done_count} done")
    why = in_short(step.reason or step.message.split("\n", 1)[0])
    name = "" if step.name in {"", step.step_id} else f" ({_line(step.name)})"
    rows = str(from_stored(step.row_counts) or "")
    text = f"{indent}{symbol} {step.step_id}{name}: {', '.join(notes)}" + (f": {_line(why)}" if why else "")
    return f"{text}; {_line(rows)}" if rows else text


def row_note_lines(step: StepRun) -> Iterator[str]:
    """Yield a line for each reason why a step may have changed more rows than were counted."""
    account = from_stored(step.row_counts)
    for note in () if account is None else account.notes:
        yield f"rows: {_line(note)}"


def output_lines(step: StepRun, *, has_traceback: bool = False) -> Iterator[str]:
    """Yield the recorded output of a step and its error, with the whole traceback or only the frames of the project."""
    if step.output_head:
        yield step.output_head
    if step.omitted_count:
        yield f"… {step.omitted_count} lines omitted …"
    if step.output_tail:
        yield step.output_tail
    if step.message or step.error_type:
        yield step.message if step.error_type in _WITHOUT_TRACEBACK else f"{step.error_type}: {step.message}"
    if has_traceback:
        yield from step.traceback.splitlines()
    elif step.error_type not in _WITHOUT_TRACEBACK:
        yield from own_frames(step.traceback)


def own_frames(traceback: str) -> Iterator[str]:
    """Yield the frames of a traceback outside of libraries and of django-runbook."""
    lines = traceback.splitlines()
    starts = [number for number, line in enumerate(lines) if line.startswith("  File ")]
    for start, end in pairwise([*starts, len(lines)]):
        if not any(part in lines[start] for part in LIBRARIES):
            yield from (line for line in lines[start:end] if line.startswith("  "))


def as_dict(row: Run | StepRun, **more: Any) -> dict[str, Any]:
    """Return all columns of a row as JSON, except the token of its process."""
    excluded = {"owner"}
    values = {
        one.attname: getattr(row, one.attname) for one in row._meta.concrete_fields if one.attname not in excluded
    }
    return {name: _to_json(value) for name, value in {**values, **more}.items()}


def _line(value: object) -> str:
    """Format a value as one line without control characters, for any stream or mail."""
    return to_db_text(" ".join(clean_text(str(value), str).splitlines()))


def _to_json(value: Any) -> Any:
    """Return a value as strict JSON, without the numbers that only Python's parser accepts."""
    if isinstance(value, dict):
        return {name: _to_json(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_to_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(value)
    return value.isoformat() if isinstance(value, datetime.datetime) else value


def _time(at: datetime.datetime) -> str:
    local = timezone.localtime(at) if timezone.is_aware(at) else at
    return local.strftime("%Y-%m-%d %H:%M:%S %Z").rstrip()


def _took(run: Run) -> str:
    return "" if run.took_seconds is None else _seconds(run.took_seconds)


def _seconds(seconds: float) -> str:
    return exact_duration(round(seconds)) if seconds >= 10 else f"{seconds:.1f}s"
