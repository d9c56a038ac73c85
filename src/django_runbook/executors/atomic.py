"""A call of a command to the same call in one transaction, together with what is written about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from django.db import DatabaseError, transaction

from django_runbook.results import AttemptResult, Failure, StepStatus


def atomically(
    call: Callable[[], AttemptResult], *, using: str | None = None, on_success: Callable[[], None] = lambda: None
) -> AttemptResult:
    """Call, and commit only what succeeded; ``on_success`` writes in the same transaction, right before its end."""
    result: AttemptResult | None = None
    try:
        with transaction.atomic(using=using):
            result = call()
            if result.status is StepStatus.SUCCEEDED:
                on_success()
            else:
                transaction.set_rollback(True, using=using)
    except DatabaseError as error:
        if result is None:
            raise
        message = f"its transaction could not be committed: {error}"
        failure = Failure(error_type=type(error).__name__, message=message, exit_code=1)
        return replace(result, status=StepStatus.FAILED, failure=failure)
    return result
