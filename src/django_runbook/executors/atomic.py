"""Calls a command in one transaction, together with its record in the run history."""

from __future__ import annotations

from collections.abc import Callable

from django.core.exceptions import ImproperlyConfigured
from django.db import DEFAULT_DB_ALIAS, Error, connections, transaction

from django_runbook.exceptions import RunbookError, names_of
from django_runbook.executors.messages import Commit, RollBack
from django_runbook.results import AttemptResult, Failure, StepStatus
from django_runbook.structs import replace

# Decides whether a successful command commits, before its transaction ends.
OnFinished = Callable[[AttemptResult], Commit | RollBack]


def atomically(
    call: Callable[[], AttemptResult],
    *,
    on_finished: OnFinished = lambda result: Commit(),
    using: str = DEFAULT_DB_ALIAS,
) -> AttemptResult:
    """Call, and commit only if the call succeeds and ``on_finished`` returns `Commit`.

    A RunbookError from ``Commit.write`` becomes the failure of the call.
    """
    result: AttemptResult | None = None
    try:
        with transaction.atomic(using=using):
            result = call()
            if result.status is not StepStatus.SUCCEEDED:
                transaction.set_rollback(True, using=using)
                return _rolled_back(result, using)
            _refuse_rollback(using)
            match on_finished(result):
                case Commit(write=write) if write is not None:
                    write()
                case RollBack():
                    transaction.set_rollback(True, using=using)
    except (Error, RunbookError) as error:
        if result is None:
            return _failed(error, f"its transaction could not begin: {error}")
        if result.status is not StepStatus.SUCCEEDED:
            # On a broken connection, the server rolls back.
            return _rolled_back(result, using)
        message = str(error) if isinstance(error, RunbookError) else f"its transaction could not be committed: {error}"
        failed = replace(
            _failed(error, message), stdout=result.stdout, warnings=result.warnings, row_account=result.row_account
        )
        return _rolled_back(failed, using)
    return result


def address_of(alias: str) -> tuple[str, ...]:
    """Return what says which database an alias is; empty if there is none."""
    if alias not in connections.settings:
        return ()
    values = connections[alias].settings_dict
    return tuple(str(values.get(key, "")) for key in ("ENGINE", "NAME", "HOST", "PORT"))


def refuse_other_database(alias: str, address: tuple[str, ...]) -> AttemptResult | None:
    """Fail a command whose settings are not those of the run if it could not commit together with its history."""
    if address_of(alias) == address:
        return None
    message = (
        f'its "env" changes the database "{alias}", in which an atomic step commits together with the run history: '
        'remove "atomic", or the variable'
    )
    return _failed(ImproperlyConfigured(message), message)


def _rolled_back(result: AttemptResult, using: str) -> AttemptResult:
    """Leave the rows of this database out of the account."""
    if result.row_account is None:
        return result
    return replace(result, row_account=result.row_account.without(using, default=DEFAULT_DB_ALIAS))


def _failed(error: Exception, message: str) -> AttemptResult:
    failure = Failure(error_type=type(error).__name__, message=message, exit_code=1, error_names=names_of(type(error)))
    return AttemptResult(status=StepStatus.FAILED, failure=failure)


def _refuse_rollback(using: str) -> None:
    """Raise an error if Django or PostgreSQL would silently roll back at the end of the transaction."""
    connection = connections[using]
    if connection.needs_rollback or not connection.is_usable():
        raise transaction.TransactionManagementError(
            "the command has caught an error of the database, closed its connection, or called set_rollback(); "
            "catch database errors around an atomic() block of its own"
        )
