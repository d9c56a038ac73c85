"""Compares the options that a command receives from a shell and from a runbook: both must be equal."""

from __future__ import annotations

import contextlib
import datetime
import io
import json
from collections.abc import Sequence
from typing import Any

from django_runbook.binding import catalog
from django_runbook.binding.binder import Binder
from django_runbook.binding.catalog import Catalog
from django_runbook.document import inputs
from django_runbook.document.diagnostics import Diagnostic, has_errors
from django_runbook.document.syntax import source
from django_runbook.document.validation import validate
from django_runbook.executors.calling import Callbacks, PassedChecks, call
from django_runbook.planning.plan import plan
from django_runbook.planning.planned_step import PlannedStep
from django_runbook.process.masking import masker
from django_runbook.process.stopping import Stop
from django_runbook.results import AttemptResult
from tests.testapp.parsing import RECEIVED

Received = tuple[tuple[Any, ...], dict[str, Any]]


def from_shell(command: str, argv: Sequence[str]) -> list[Received] | None:
    """Return the options that ``manage.py command argv`` passes to the command; None if its parser refuses."""
    RECEIVED.clear()
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        try:
            catalog.load(command).run_from_argv(["manage.py", command, *argv])
        except SystemExit:
            return None
    return list(RECEIVED)


def bound(step: dict[str, Any] | str, *, binder: Binder | None = None) -> tuple[PlannedStep, list[Diagnostic]]:
    """Plan a step, and return it with all diagnostics."""
    text, problems = source.decode(json.dumps({"steps": [step]}).encode(), name="test.yml")
    assert problems == []
    runbook, diagnostics = validate.load(text)
    assert runbook is not None
    given = inputs.GivenInputs(now=datetime.datetime.now(datetime.UTC))
    binder = binder or Binder(catalog=Catalog(), databases=("default", "replica"))
    planned = plan(runbook, inputs.resolve(runbook, given), binder)
    (only,) = planned.steps.values()
    return only, [*diagnostics, *planned.diagnostics]


def from_runbook(step: dict[str, Any] | str) -> list[Received] | None:
    """Return the options that a step passes to its command; None if it is refused."""
    planned, diagnostics = bound(step)
    if has_errors(diagnostics):
        return None
    RECEIVED.clear()
    name = step.split()[0] if isinstance(step, str) else step["command"].split()[0]
    called(name, planned.binding.tokens)
    return list(RECEIVED)


def called(name: str, tokens: Sequence[str]) -> AttemptResult:
    """Call a command as a run does, without its output."""
    stop = Stop()
    callbacks = Callbacks(halt=stop, report_progress=lambda *counts: None, call_key="1", mask=masker(()))
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        return call(name, tuple(tokens), callbacks=callbacks, checks=PassedChecks(), stop=stop)
