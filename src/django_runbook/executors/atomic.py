"""A call of a command to the same call in one transaction, together with what is written about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, transaction

from django_runbook.exceptions import names_of
from django_runbook.results import AttemptResult, Failure, StepStatus


def atomically(
    call: Callable[[], AttemptResult], *, using: str = DEFAULT_DB_ALIAS, on_success: Callable[[], None] = lambda: None
) -> AttemptResult:
    """Call, and commit only what succeeded; ``on_success`` writes in the same transaction, right before its end."""
    result: AttemptResult | None = None
    try:
        with transaction.atomic(using=using):
            result = call()
            if result.status is StepStatus.SUCCEEDED:
                _refuse_rollback(using)
                on_success()
            else:
                transaction.set_rollback(True, using=using)
    except DatabaseError as error:
        if result is None:
            raise
        message = f"its transaction could not be committed: {error}"
        failure = Failure(
            error_type=type(error).__name__, message=message, exit_code=1, error_names=names_of(type(error))
        )
        return replace(result, status=StepStatus.FAILED, failure=failure)
    return result


def _refuse_rollback(using: str) -> None:
    """Raise where the end of the transaction would undo it without a word: Django rolls it back, or PostgreSQL does."""
    connection = connections[using]
    if connection.needs_rollback or not connection.is_usable():
        raise transaction.TransactionManagementError(
            "the command has caught an error of the database, closed its connection, or called set_rollback(); "
            "an error may be caught around an atomic() of its own"
        )
