"""Builds outcomes, failures and expression views of steps."""

from __future__ import annotations

from django_runbook import wording
from django_runbook.cleaning import Mask
from django_runbook.document.diagnostics import Diagnostic
from django_runbook.document.expressions import ExpressionError
from django_runbook.document.runbook import CommandStep, Step
from django_runbook.document.views import StepView
from django_runbook.exceptions import RunbookError, names_of
from django_runbook.process.streams import clean_text
from django_runbook.results import AttemptResult, ExitCode, Failure, RunResult, RunStatus, StepResult, StepStatus
from django_runbook.runner import policy
from django_runbook.structs import Struct, replace

HIDDEN = "(hidden by no_log)"
_HOW = {RunStatus.INTERRUPTED: "the run was interrupted", RunStatus.WARNING: "the run ended with a warning"}
FAILURES = frozenset((StepStatus.FAILED, StepStatus.TIMED_OUT))


class Outcome(Struct):
    """Holds the last result of a step, how often the step was run, and its output for expressions."""

    result: AttemptResult
    attempt_count: int
    output: object = None


def failed(failure: Failure) -> Outcome:
    """Return the outcome of a step that failed before its command was called."""
    return Outcome(result=AttemptResult(status=StepStatus.FAILED, failure=failure), attempt_count=0)


def is_ignored(step: Step, result: AttemptResult) -> bool:
    """Return whether ``continue_on_error`` ignores the failure of this result."""
    if result.status not in FAILURES:
        return False
    if result.failure is None:
        return step.continue_on_error is True
    return policy.is_ignored(result.failure, step.continue_on_error)


def below(first: StepResult) -> Failure | None:
    """Return the failure of a group from that of its first failed step."""
    if first.failure is None:
        return None
    return replace(
        first.failure,
        message=f'step "{first.step_id}": {first.failure.message}',
        cause=first.failure.cause or wording.named(first.name, first.step_id),
    )


def named_failure(first: StepResult) -> str:
    """Say which step failed, as the reason why others are not run."""
    return f"{wording.named(first.name, first.step_id)} failed"


def of_error(error: RunbookError) -> Failure:
    """Return the failure of a step that could not be recorded or locked."""
    return Failure(
        error_type=type(error).__name__,
        message=str(error),
        exit_code=error.exit_code,
        error_names=names_of(type(error)),
    )


def hidden(failure: Failure) -> Failure:
    """Return the failure without the texts that ``no_log`` hides."""
    return replace(failure, message=HIDDEN, traceback="")


def of_expression(error: ExpressionError, mask: Mask, *, is_hidden: bool) -> Failure:
    """Return the failure of a step whose expression has no value; ``is_hidden`` keeps values out of it."""
    message = clean_text(f"line {error.span.line}: {HIDDEN if is_hidden else error.message}", mask)
    return Failure(error_type=type(error).__name__, message=message, exit_code=ExitCode.INVALID)


def of_diagnostics(errors: list[Diagnostic], mask: Mask, *, is_hidden: bool) -> Failure:
    """Return the failure of a step whose arguments are invalid once all values are known."""
    message = HIDDEN if is_hidden else "; ".join(_as_sentence(error) for error in errors)
    return Failure(error_type="BindingError", message=clean_text(message, mask), exit_code=ExitCode.INVALID)


def _as_sentence(diagnostic: Diagnostic) -> str:
    return f"line {diagnostic.span.line}: {diagnostic.message}" + (f" ({diagnostic.help})" if diagnostic.help else "")


def view_of(step_id: str, *, status: StepStatus, result: StepResult | None = None, **extra: object) -> StepView:
    """Return the attributes that expressions read from a step."""
    view = StepView(id=step_id, status=status.value, **extra)
    if result is not None:
        view |= {"name": result.name, "ignored": result.ignored, "attempts": result.attempt_count}
        if result.failure is not None:
            view |= {"exit_code": result.failure.exit_code, "error": result.failure.message}
        elif status is StepStatus.SUCCEEDED:
            view["exit_code"] = 0
    return view


def in_one_line(result: RunResult) -> str:
    """Say why a run did not succeed, for a caller that gets no report."""
    if result.reason:
        return result.reason
    how = _HOW.get(result.status, f"the run {result.status}")
    if result.failure is not None:
        return f"{how}: {result.failure.message}"
    if result.status is RunStatus.INTERRUPTED:
        for step in result.steps:
            if step.status is StepStatus.INTERRUPTED and not step.is_group:
                return f'{how} at step "{step.step_id}"'
    if result.warnings:
        return f"{how}: {result.warnings[0]}"
    return how


def captures(step: Step) -> bool:
    """Return whether the output of a step is captured."""
    return isinstance(step, CommandStep) and step.capture is not None
