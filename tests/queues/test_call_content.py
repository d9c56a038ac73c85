"""What a worker needs, through the columns of a call and back, without a secret in them."""

from __future__ import annotations

import json

import pytest

from django_runbook.models.calls import NO_CONTENT, Call
from django_runbook.process_inputs import NO_INPUTS, ProcessInputs
from django_runbook.queues.call_content import CallContent, digest

SECRETS = {"TOKEN": "hunter22", "KEY": "s3cret"}
CONTENTS = [
    ((), NO_INPUTS),
    (("a", "b hunter22"), NO_INPUTS),
    (("a",), ProcessInputs(stdin="")),
    (("a",), ProcessInputs(stdin="yes\nhunter22s3cret\n")),
    (("a",), ProcessInputs(env={"A": "", "B": None, "C": "x hunter22"})),
    (("a",), ProcessInputs(env={"A": ""}, stdin="")),
]


@pytest.mark.parametrize(("tokens", "process"), CONTENTS)
def test_a_content_is_the_same_on_the_worker(tokens: tuple[str, ...], process: ProcessInputs) -> None:
    columns = json.loads(json.dumps(CallContent.encode(tokens, process, secrets=SECRETS).columns))
    assert not any(secret in json.dumps(columns) for secret in SECRETS.values())
    content = CallContent.of(Call(**columns))
    assert content.decode(SECRETS) == (tokens, process)
    shown = repr(tokens) + repr(process)
    assert content.secret_names == {name for name, value in SECRETS.items() if value in shown}


def test_contents_that_differ_have_different_digests() -> None:
    assert len({digest(tokens, process) for tokens, process in CONTENTS}) == len(CONTENTS)


def test_a_call_without_its_content_has_the_columns_of_an_empty_one() -> None:
    assert CallContent.encode((), NO_INPUTS, secrets={}).columns == NO_CONTENT
