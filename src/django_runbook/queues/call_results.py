"""Converts the result of a call to the JSON of its row, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django_runbook.cleaning import Mask
from django_runbook.exceptions import SecretOutput
from django_runbook.models.fields import to_db_text
from django_runbook.process.failures import named_failure
from django_runbook.queues import references
from django_runbook.results import AttemptResult, Failure, StepStatus
from django_runbook.row_account import from_stored, to_stored
from django_runbook.structs import asdict, replace


def to_json(
    result: AttemptResult, *, secrets: Mapping[str, str], mask: Mask, is_hidden: bool = False
) -> dict[str, Any]:
    """Return the stored form of a result; secrets in its captured output become references.

    A captured output that holds a secret in another form, such as Base64, cannot be stored: the call has failed then.
    With ``is_hidden``, the texts of failures and warnings are left out, as the run hides them.
    """
    encoded = references.encode(result.stdout, secrets)
    if any(isinstance(part, str) and mask(part) != part for part in encoded):
        message = "capture: the output holds a secret in an encoded form, which must not be stored in the database"
        refused = named_failure(SecretOutput, message)
        encoded, result = [], replace(result, status=StepStatus.FAILED, failure=refused)
    if is_hidden:
        failure = None if result.failure is None else replace(result.failure, message="", traceback="")
        result = replace(result, failure=failure, warnings=("",) if result.warnings else ())
    failed = None if result.failure is None else _clean(asdict(result.failure))
    return {
        "status": result.status.value,
        "failure": failed,
        "stdout": encoded,
        "warnings": [to_db_text(one) for one in result.warnings],
        "reason": to_db_text(result.reason),
        "row_account": to_stored(result.row_account),
    }


def from_json(stored: Mapping[str, Any], *, secrets: Mapping[str, str]) -> AttemptResult:
    """Return the result that a worker has stored."""
    failure = stored["failure"]
    if failure is not None:
        failure = Failure(**{**failure, "error_names": tuple(failure["error_names"])})
    return AttemptResult(
        status=StepStatus(stored["status"]),
        failure=failure,
        stdout=references.decode(stored["stdout"], secrets),
        warnings=tuple(stored["warnings"]),
        reason=stored["reason"],
        row_account=from_stored(stored.get("row_account")),
    )


def _clean(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: to_db_text(value) if isinstance(value, str) else value for name, value in values.items()}
