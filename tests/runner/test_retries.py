"""Tests how a step is repeated, and the result that a stop between two attempts leaves."""

from __future__ import annotations

import datetime
import random

from django_runbook import events
from django_runbook.document import inputs
from django_runbook.document.syntax import source
from django_runbook.document.validation import validate
from django_runbook.process.deadlines import Branch
from django_runbook.process.stopping import Stop
from django_runbook.results import AttemptResult, Failure, StepStatus
from django_runbook.runner.emitter import Emitter
from django_runbook.runner.retries import Retries
from django_runbook.runner.step_scope import Scope

TEXT = "steps: [{command: say, retry: {attempts: 3, delay: 60s, jitter: false}}]"


def test_a_stop_between_two_attempts_says_so_and_why_the_first_one_failed() -> None:
    runbook, _ = validate.load(source.Source(path="test.yml", text=TEXT))
    assert runbook is not None
    halt = Branch(Stop(), grace_seconds=0)
    emitted: list[str] = []

    def emit(event: events.Event) -> None:
        emitted.append(type(event).__name__)
        halt.cancel("the run was stopped")

    now = datetime.datetime(2013, 1, 31, tzinfo=datetime.UTC)
    scope = Scope(inputs=inputs.resolve(runbook, inputs.GivenInputs(now=now)), run_names={}, halt=halt)
    retries = Retries(emitter=Emitter(emit, lambda: now), mask=str, rng=random.Random(0))
    failure = Failure(error_type="CommandError", message="no table yet\nand more", exit_code=1)
    failed = AttemptResult(status=StepStatus.FAILED, failure=failure)
    outcome = retries.run(runbook.block.steps[0], scope, lambda: (failed, None))
    assert outcome.result.status is StepStatus.INTERRUPTED
    assert outcome.result.failure is not None
    assert outcome.result.failure.message == "the run was stopped before attempt 2; attempt 1: no table yet\nand more"
    assert (outcome.attempt_count, emitted) == (1, ["AttemptFailed"])
