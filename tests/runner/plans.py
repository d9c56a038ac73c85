"""Runs a plan in this process, with the results of earlier attempts."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path

from django_runbook import checking, events
from django_runbook.document import inputs
from django_runbook.document.syntax import source
from django_runbook.document.validation import validate
from django_runbook.executors.inline import InlineExecutor
from django_runbook.locks.file import FileLock
from django_runbook.planning.plan import plan
from django_runbook.process.connections import KnownConnections
from django_runbook.process.files import OpenFiles
from django_runbook.process.isolation import Isolation
from django_runbook.process.snapshot import Snapshot
from django_runbook.process.stopping import Stop
from django_runbook.results import AttemptResult, RunResult, StepStatus
from django_runbook.runner import run as runner
from django_runbook.runner.context import RunContext, RunOptions
from django_runbook.runner.past import Past
from django_runbook.runner.recorder import NoRecorder


class WritingRecorder(NoRecorder):
    """Records only the write that an atomic step executes with its commit."""

    def __init__(self, write: Callable[[], None]) -> None:
        self._write = write

    def success_write(self, step_id: str) -> Callable[[], None]:
        return self._write


def run_plan(
    directory: Path,
    text: str,
    *,
    past: Past | None = None,
    emit: Callable[[events.Event], None] = lambda event: None,
    on_success: Callable[[], None] = lambda: None,
) -> RunResult:
    """Run a file with the results of earlier attempts; return the result of the run."""
    runbook, diagnostics = validate.load(source.Source(path="test.yml", text=text))
    assert runbook is not None
    assert diagnostics == []
    known = inputs.resolve(runbook, inputs.GivenInputs(now=datetime.datetime(2013, 1, 31, tzinfo=datetime.UTC)))
    binder = checking.new_binder()
    stop = Stop()
    with KnownConnections() as known_connections:
        context = RunContext(
            execute=InlineExecutor(stop=stop, mask=str, before=Snapshot.capture(known_connections), files=OpenFiles()),
            isolate=lambda call: AttemptResult(status=StepStatus.FAILED),
            isolation=Isolation(is_default=False),
            recorder=WritingRecorder(on_success),
            new_lock=lambda name: FileLock(name, directory=directory),
            emit=emit,
            binder=binder,
            stop=stop,
            mask=str,
        )
        return runner.run(plan(runbook, known, binder), RunOptions(past=past or Past()), context)


def said(emitted: list[events.Event]) -> list[str]:
    return [event.line for event in emitted if isinstance(event, events.StepOutputWritten)]
