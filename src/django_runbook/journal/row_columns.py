"""Converts results, failures and outputs to the columns of a step's row."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from django_runbook.cleaning import Mask
from django_runbook.models.fields import to_db_text
from django_runbook.results import Failure, StepResult, StepStatus
from django_runbook.row_account import to_stored

SECRET_OUTPUT: dict[str, object] = {"is_output_secret": True}


def columns_of_result(result: StepResult) -> dict[str, Any]:
    """Return the columns of the end of a step."""
    columns: dict[str, Any] = {}
    if result.ignored:
        columns["ignored"] = True
    if result.reason:
        columns["reason"] = to_db_text(result.reason)
    if result.row_account is not None:
        columns["row_counts"] = to_stored(result.row_account)
    if result.warnings:
        columns["warnings"] = [to_db_text(warning) for warning in result.warnings]
    if result.failure is not None:
        # The failure of a group is the failure of a step inside it, whose row has the traceback.
        columns |= columns_of_failure(result.failure, has_traceback=not result.is_group)
    elif result.status is StepStatus.SUCCEEDED:
        columns["exit_code"] = 0
    return columns


def columns_of_failure(failure: Failure, *, has_traceback: bool = True) -> dict[str, Any]:
    """Return the columns of a failed attempt."""
    return {
        "exit_code": int(failure.exit_code),
        "error_type": to_db_text(failure.error_type),
        "message": to_db_text(failure.message),
        "traceback": to_db_text(failure.traceback) if has_traceback else "",
    }


def columns_of_output(output: object, *, mask: Mask) -> dict[str, object]:
    """Return the columns of a captured output, which is not stored if it holds a secret."""
    if any(mask(text) != text for text in (json.dumps(output), *_strings(output))):
        return SECRET_OUTPUT
    return {"output": [output]}


def _strings(value: object) -> Iterator[str]:
    """Yield all strings in JSON data, without the escapes of JSON."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, dict):
            waiting += (*one, *one.values())
        elif isinstance(one, list):
            waiting += one
