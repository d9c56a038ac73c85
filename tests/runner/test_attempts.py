"""The attempts of a step: what a stop between two of them leaves."""

from __future__ import annotations

import random

from django_runbook.document.runbook import Retry
from django_runbook.process.deadlines import Branch, Limit
from django_runbook.process.stopping import Stop
from django_runbook.results import AttemptResult, Failure, StepStatus
from django_runbook.runner.attempts import attempt


def test_a_stop_between_two_attempts_says_so_and_why_the_first_one_failed() -> None:
    halt = Branch(Stop(), grace_seconds=0)
    failure = Failure(error_type="CommandError", message="no table yet\nand more", exit_code=1)
    started: list[int] = []
    outcome = attempt(
        lambda: (AttemptResult(status=StepStatus.FAILED, failure=failure), None),
        retry=Retry(attempts=3, delay_seconds=60, jitter=False),
        halt=halt,
        limit=Limit(),
        is_lost=lambda: False,
        on_started=started.append,
        on_failed=lambda count, delay, failure: halt.cancel("the run was stopped"),
        rng=random.Random(0),
    )
    assert outcome.result.status is StepStatus.INTERRUPTED
    assert outcome.result.failure is not None
    message = "the run was stopped before attempt 2; attempt 1: no table yet\nand more"
    assert outcome.result.failure.message == message
    assert (outcome.attempt_count, started) == (1, [])
