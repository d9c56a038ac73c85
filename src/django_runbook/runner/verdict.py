"""Decides the status and the exit code of a run."""

from __future__ import annotations

from django_runbook.exceptions import LockHeld
from django_runbook.process.stopping import Stop
from django_runbook.results import AttemptResult, ExitCode, Failure, RunStatus, StepStatus
from django_runbook.runner import outcomes
from django_runbook.runner.emitter import Emitter
from django_runbook.runner.past import Past


def status_of(outcome: AttemptResult, emitter: Emitter, stop: Stop, *, past: Past) -> RunStatus:
    """Return the status of a run from its outcome and the results of its steps."""
    if _is_refused(outcome) and not past.started:
        return RunStatus.REFUSED
    statuses = {result.status for result in emitter.results.values()}
    is_cut = bool(statuses & {StepStatus.INTERRUPTED, StepStatus.NOT_RUN}) or outcome.status is StepStatus.INTERRUPTED
    if stop.is_requested and is_cut:
        return RunStatus.INTERRUPTED
    if outcome.status in outcomes.FAILURES or outcome.status is StepStatus.INTERRUPTED:
        return RunStatus.FAILED
    return RunStatus.WARNING if emitter.has_warnings else RunStatus.SUCCEEDED


def failure_of_run(outcome: AttemptResult, status: RunStatus, emitter: Emitter) -> Failure | None:
    """Return what failed the run, or else made it a warning."""
    if status is RunStatus.WARNING and emitter.warned_by is not None:
        return outcomes.below(emitter.warned_by)
    return outcome.failure


def exit_code_of(outcome: AttemptResult, status: RunStatus, stop: Stop, *, is_strict: bool) -> int:
    """Return the exit code of a run."""
    match status:
        case RunStatus.INTERRUPTED:
            return stop.exit_code
        case RunStatus.WARNING if is_strict:
            return ExitCode.FAILED
        case RunStatus.FAILED | RunStatus.REFUSED:
            if outcome.status is StepStatus.TIMED_OUT:
                return ExitCode.TIMED_OUT
            if outcome.status is StepStatus.SKIPPED:
                return ExitCode.SUCCEEDED
            # A run whose own lock was refused ends with the code of that reason: nothing was run.
            return outcome.failure.exit_code if outcome.failure is not None and outcome.reason else ExitCode.FAILED
    return ExitCode.SUCCEEDED


def _is_refused(outcome: AttemptResult) -> bool:
    """Return whether the run's own lock was refused; the outcome of a step's lock has no reason."""
    is_held = outcome.failure is not None and outcome.failure.error_type == LockHeld.__name__
    return outcome.status is StepStatus.SKIPPED or (
        outcome.status is StepStatus.FAILED and is_held and bool(outcome.reason)
    )
