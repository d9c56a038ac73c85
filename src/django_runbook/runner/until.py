"""Checks the ``until`` condition of a step that succeeded."""

from __future__ import annotations

from typing import Any

from django_runbook.cleaning import Mask
from django_runbook.document.expressions import ExpressionError, evaluate_condition
from django_runbook.document.runbook import Step
from django_runbook.results import AttemptResult, Failure, StepStatus
from django_runbook.runner import outcomes, policy
from django_runbook.runner.step_scope import Scope
from django_runbook.structs import replace


def check_until(
    step: Step, scope: Scope, result: AttemptResult, output: object, *, attempt_count: int, mask: Mask
) -> AttemptResult:
    """Return the result, failed if the step's ``until`` is not true yet or has no value."""
    retry = step.retry
    if retry is None or retry.until is None or result.status is not StepStatus.SUCCEEDED:
        return result
    seen: dict[str, Any] = {"output": output} if outcomes.captures(step) else {}
    seen |= {"exit_code": 0, "attempts": attempt_count}
    scope.views[step.id] = outcomes.view_of(scope.id(step), status=StepStatus.SUCCEEDED, **seen)
    try:
        if evaluate_condition(retry.until, scope.context()):
            return result
        message = mask(f"{policy.UNTIL}{retry.until.source} is not true yet")
        failure = Failure(error_type=policy.UNTIL_NOT_MET, message=message, exit_code=1)
    except ExpressionError as error:
        failure = outcomes.of_expression(error, mask, is_hidden=scope.is_hidden)
    return replace(result, status=StepStatus.FAILED, failure=failure)
