"""How an attempt, a group or an expression ended to a StepResult, and to what expressions see of the step."""

from __future__ import annotations

from dataclasses import replace

from django_runbook.document.diagnostics import Diagnostic
from django_runbook.document.expressions import ExpressionError
from django_runbook.document.runbook import Step
from django_runbook.document.views import StepView
from django_runbook.exceptions import RunbookError, names_of
from django_runbook.process.masking import Mask
from django_runbook.process.streams import tidy_text
from django_runbook.results import AttemptResult, ExitCode, Failure, RunResult, RunStatus, StepResult, StepStatus
from django_runbook.runner import policy
from django_runbook.runner.attempts import Outcome

HIDDEN = "(hidden by no_log)"
_HOW = {RunStatus.INTERRUPTED: "the run was interrupted", RunStatus.WARNING: "the run ended with a warning"}
FAILURES = frozenset((StepStatus.FAILED, StepStatus.TIMED_OUT))


def failed(failure: Failure) -> Outcome:
    """The outcome of a step that did not come to its first attempt."""
    return Outcome(result=AttemptResult(status=StepStatus.FAILED, failure=failure), attempt_count=0)


def is_tolerated(step: Step, result: AttemptResult) -> bool:
    """Whether ``continue_on_error`` allows this result."""
    if result.status not in FAILURES:
        return False
    if result.failure is None:
        return step.continue_on_error is True
    return policy.is_tolerated(result.failure, step.continue_on_error)


def below(first: StepResult) -> Failure | None:
    """The failure of a group, from that of the step inside which failed first."""
    if first.failure is None:
        return None
    return replace(first.failure, message=f'step "{first.step_id}": {first.failure.message}')


def of_fault(fault: RunbookError) -> Failure:
    """The failure of what could not be recorded, or not locked."""
    return Failure(
        error_type=type(fault).__name__,
        message=str(fault),
        exit_code=fault.exit_code,
        error_names=names_of(type(fault)),
    )


def hidden(failure: Failure) -> Failure:
    """The same failure without what ``no_log`` hides."""
    return replace(failure, message=HIDDEN, traceback="")


def of_expression(error: ExpressionError, mask: Mask, *, is_hidden: bool) -> Failure:
    """The failure of a step whose expression has no value; ``is_hidden`` says that no value may be shown."""
    message = tidy_text(f"line {error.span.line}: {HIDDEN if is_hidden else error.message}", mask)
    return Failure(error_type="ExpressionError", message=message, exit_code=ExitCode.INVALID)


def of_diagnostics(errors: list[Diagnostic], mask: Mask, *, is_hidden: bool) -> Failure:
    """The failure of a step whose arguments turned out to be wrong when all values were known."""
    message = HIDDEN if is_hidden else "; ".join(_as_sentence(error) for error in errors)
    return Failure(error_type="BindingError", message=tidy_text(message, mask), exit_code=ExitCode.INVALID)


def _as_sentence(diagnostic: Diagnostic) -> str:
    return f"line {diagnostic.span.line}: {diagnostic.message}" + (f" ({diagnostic.help})" if diagnostic.help else "")


def view_of(step_id: str, *, status: StepStatus, result: StepResult | None = None, **extra: object) -> StepView:
    """What expressions see of a step."""
    view = StepView(id=step_id, status=status.value, **extra)
    if result is not None:
        view |= {"name": result.name, "tolerated": result.tolerated, "attempts": result.attempt_count}
        if result.failure is not None:
            view |= {"exit_code": result.failure.exit_code, "error": result.failure.message}
        elif status is StepStatus.SUCCEEDED:
            view["exit_code"] = 0
    return view


def in_one_line(result: RunResult) -> str:
    """Say why a run failed, for a caller that gets no report."""
    if result.reason:
        return result.reason
    how = _HOW.get(result.status, f"the run {result.status}")
    for step in result.steps:
        if step.is_failure and not step.tolerated and not step.is_group:
            if step.failure is None:
                return f'{how} at step "{step.step_id}"'
            return f'{how}: step "{step.step_id}": {step.failure.message}'
    return how
