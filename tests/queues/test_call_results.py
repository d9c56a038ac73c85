"""Results pass through the JSON of a row, without the secrets in them."""

from __future__ import annotations

import base64
import json

import pytest

from django_runbook.process.masking import masker
from django_runbook.queues import call_results
from django_runbook.results import AttemptResult, Failure, StepStatus
from django_runbook.row_account import RowAccount, TableCounts

SECRETS = {"TOKEN": "abra-cadabra"}
FAILURE = Failure(error_type="E", message="m\0", exit_code=9, error_names=("E", "a.E"), traceback="t", cause="c")


def stored(result: AttemptResult) -> str:
    return json.dumps(call_results.to_json(result, secrets=SECRETS, mask=masker(SECRETS.values())))


@pytest.mark.parametrize("status", StepStatus)
@pytest.mark.parametrize("failure", [None, FAILURE])
def test_a_result_comes_back_as_it_was(status: StepStatus, failure: Failure | None) -> None:
    account = RowAccount(tables={"t": TableCounts(inserted=3)}, notes=("n",))
    result = AttemptResult(
        status=status, failure=failure, stdout="a\n", warnings=("w",), reason="r", row_account=account
    )
    found = call_results.from_json(json.loads(stored(result)), secrets=SECRETS)
    assert found.status is status
    assert found.row_account == account
    assert (found.stdout, found.warnings, found.reason) == ("a\n", ("w",), "r")
    if failure is not None:
        # No database takes a NUL.
        assert found.failure == Failure(
            **{**{n: getattr(FAILURE, n) for n in FAILURE.__struct_fields__}, "message": "m"}
        )


def test_a_secret_in_the_output_is_stored_as_a_reference() -> None:
    text = stored(AttemptResult(status=StepStatus.SUCCEEDED, stdout="x abra-cadabra y"))
    assert "abra" not in text
    assert call_results.from_json(json.loads(text), secrets=SECRETS).stdout == "x abra-cadabra y"


def test_an_encoded_secret_in_the_output_fails_the_call() -> None:
    output = base64.b64encode(b"abra-cadabra").decode()
    text = stored(AttemptResult(status=StepStatus.SUCCEEDED, stdout=output))
    assert output.rstrip("=") not in text
    found = call_results.from_json(json.loads(text), secrets=SECRETS)
    assert found.status is StepStatus.FAILED
    assert found.failure is not None
    assert "encoded form" in found.failure.message


def test_a_hidden_call_stores_no_text_of_its_failure() -> None:
    result = AttemptResult(status=StepStatus.FAILED, failure=FAILURE, warnings=("w-text",))
    found = call_results.to_json(result, secrets={}, mask=str, is_hidden=True)
    assert found["failure"] | {"message": "", "traceback": ""} == found["failure"]
    assert (found["failure"]["exit_code"], found["failure"]["error_names"]) == (9, ("E", "a.E"))
    assert found["warnings"] == [""]
