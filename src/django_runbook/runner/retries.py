"""Repeats a step until it succeeds, as its ``retry`` allows."""

from __future__ import annotations

import random
from collections.abc import Callable

from django_runbook import events
from django_runbook.cleaning import Mask
from django_runbook.document.runbook import Step
from django_runbook.results import AttemptResult, StepStatus
from django_runbook.runner import outcomes, policy
from django_runbook.runner.emitter import Emitter
from django_runbook.runner.outcomes import Outcome
from django_runbook.runner.step_scope import Scope
from django_runbook.runner.until import check_until
from django_runbook.structs import Struct, replace

# Runs a step once; returns its result and its output for expressions.
Once = Callable[[], tuple[AttemptResult, object]]


class Retries(Struct):
    """Repeats steps, with ``has_delays`` after a pause; a stop, a deadline or a lost journal ends the repetition."""

    emitter: Emitter
    mask: Mask
    rng: random.Random
    has_delays: bool = True

    def run(self, step: Step, scope: Scope, once: Once) -> Outcome:
        """Call ``once`` until it succeeds, at most as often as ``retry`` allows."""
        count = 0
        while True:
            count += 1
            result, output = once()
            result = check_until(step, scope, result, output, attempt_count=count, mask=self.mask)
            outcome = Outcome(result=result, attempt_count=count, output=output)
            delay_seconds = self._delay_after(result, step, scope, count=count)
            if delay_seconds is None:
                return outcome
            seconds = min(delay_seconds, scope.limit.remaining_seconds) if self.has_delays else 0
            if scope.halt.wait(seconds):
                return replace(outcome, result=_stopped(result, scope, count=count))
            if scope.limit.is_over or not self._starts_again(step, scope, count=count + 1):
                return outcome

    def _delay_after(self, result: AttemptResult, step: Step, scope: Scope, *, count: int) -> float | None:
        retry, failure = step.retry, result.failure
        if retry is None or failure is None or result.status not in outcomes.FAILURES or count >= retry.attempts:
            return None
        if scope.halt.is_requested or scope.limit.is_over or self._is_lost(scope):
            return None
        if not policy.is_retried(failure, retry):
            return None
        delay_seconds = policy.delay_seconds(retry, attempt=count, rng=self.rng)
        self.emitter.emit(
            events.AttemptFailed,
            step_id=scope.id(step),
            attempt=count,
            attempt_count=retry.attempts,
            delay_seconds=delay_seconds,
            failure=failure,
            row_account=result.row_account,
        )
        return None if self._is_lost(scope) else delay_seconds

    def _starts_again(self, step: Step, scope: Scope, *, count: int) -> bool:
        self.emitter.emit(events.AttemptStarted, step_id=scope.id(step), attempt=count)
        self.emitter.wait()
        return not self._is_lost(scope)

    def _is_lost(self, scope: Scope) -> bool:
        return self.emitter.error_before(scope) is not None


def _stopped(result: AttemptResult, scope: Scope, *, count: int) -> AttemptResult:
    """Return the result of a step that a stop ended before its next attempt."""
    failure = result.failure
    if failure is not None:
        message = f"{scope.halt.reason} before attempt {count + 1}; attempt {count}: {failure.message}"
        failure = replace(failure, message=message)
    return replace(result, status=StepStatus.INTERRUPTED, failure=failure)
