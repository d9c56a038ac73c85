"""Resolves parameters whose default is null, and bad values."""

from __future__ import annotations

import datetime

import pytest

from django_runbook.document.inputs import GivenInputs, Inputs, resolve
from django_runbook.document.params import ParamError, parse_text
from django_runbook.document.runbook import Runbook
from django_runbook.document.syntax import source
from django_runbook.document.validation import validate

NOW = datetime.datetime(2013, 1, 31, 6, tzinfo=datetime.UTC)


def load(params: str) -> tuple[Runbook, list[str]]:
    text = f"params:\n  p: {params}\nvars: {{is_none: '${{{{ params.p is none }}}}'}}\nsteps: [noop]\n"
    runbook, problems = validate.load(source.Source(path="a.yml", text=text))
    assert runbook is not None
    return runbook, [problem.message for problem in problems]


def resolved(params: str, **given: str) -> Inputs:
    runbook, problems = load(params)
    assert problems == []
    return resolve(runbook, GivenInputs(params=given, now=NOW))


@pytest.mark.parametrize("kind", ["string", "integer", "number", "boolean", "date", "datetime", "list"])
def test_a_default_of_null_makes_a_parameter_of_any_type_optional(kind: str) -> None:
    known = resolved(f"{{type: {kind}, default: null}}")
    assert known.params == {"p": None}
    assert known.vars == {"is_none": True}
    assert known.problems == ()
    assert known.diagnostics == ()


@pytest.mark.parametrize(
    ("params", "value"),
    [
        ("{type: integer, default: null}", None),
        ("{type: number, default: null}", None),
        ("{type: boolean, default: null}", None),
        ("{type: date, default: null}", None),
        ("{type: datetime, default: null}", None),
        ("{choices: [a, b], default: null}", None),
        ("{type: string, default: null}", ""),
        ("{type: string, default: x}", ""),
        ("{type: list, default: null}", ()),
    ],
)
def test_an_empty_value_on_the_command_line_is_null_if_that_is_the_default(params: str, value: object) -> None:
    assert resolved(params, p="").params == {"p": value}


@pytest.mark.parametrize(
    "params", ["{type: integer, default: 5}", "{type: integer}", "{type: date, default: '2013-01-31'}"]
)
def test_an_empty_value_of_a_required_parameter_is_refused(params: str) -> None:
    assert [problem.kind for problem in resolved(params, p="").problems] == ["value"]


def test_a_given_value_replaces_null() -> None:
    assert resolved("{type: integer, default: null}", p="5").params == {"p": 5}


def test_an_expression_may_give_null() -> None:
    assert resolved("{type: integer, default: '${{ none if today.year > 1 else 5 }}'}").params == {"p": None}


def test_a_null_default_requires_a_type() -> None:
    _, problems = load("null")
    assert problems == ['the parameter "p" has no value']


@pytest.mark.parametrize("given", [{"p": None}, {}])
def test_null_from_a_caller_counts_as_omitted(given: dict[str, object]) -> None:
    runbook, _ = load("{type: integer, default: 100}")
    assert resolve(runbook, GivenInputs(values=given, now=NOW)).params == {"p": 100}
    runbook, _ = load("{type: integer}")
    known = resolve(runbook, GivenInputs(values=given, now=NOW))
    assert [problem.kind for problem in known.problems] == ["missing"]


@pytest.mark.parametrize("text", ["1" * 100_000, "\ud800", "\0", "x" * 10_000_000])
def test_a_long_string_does_not_make_the_message_long(text: str) -> None:
    runbook, _ = load("{type: integer, default: null}")
    with pytest.raises(ParamError) as caught:
        parse_text(runbook.params[0], text)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("value", [["x"] * 100_000, {"a": 1}, "x" * 1_000_000, 1e308 * 10, True, datetime.timedelta(1)])
def test_a_long_value_of_a_caller_does_not_make_the_message_long(value: object) -> None:
    runbook, _ = load("{type: integer, default: null}")
    (problem,) = resolve(runbook, GivenInputs(values={"p": value}, now=NOW)).problems
    assert "is not of type integer" in problem.message
    assert len(problem.message) < 200


@pytest.mark.parametrize(
    ("params", "text", "value"),
    [
        ("[1, 2]", "3, 4", (3, 4)),
        ("[1.5, 2.5]", "3,0.5", (3.0, 0.5)),
        ("[true]", "no,yes", (False, True)),
        ("[a, b]", "3,4", ("3", "4")),
        ("[1, a]", "3,4", ("3", "4")),
        ("[]", "3,4", ("3", "4")),
        ("[1]", "", ()),
        ("{type: list, default: [1, 2]}", "3", (3,)),
        ("{type: list, choices: [a, b], default: [a]}", "b", ("b",)),
        ("{type: list, default: null}", "3", ("3",)),
        ("{type: list}", "3", ("3",)),
    ],
)
def test_the_items_of_a_list_have_the_type_of_the_default_items(
    params: str, text: str, value: tuple[object, ...]
) -> None:
    given = resolved(params, p=text).params["p"]
    assert given == value
    assert [type(item) for item in given] == [type(item) for item in value]


def test_an_item_of_another_type_is_reported() -> None:
    assert [problem.message for problem in resolved("[1, 2]", p="3,x").problems] == ['"x" is not an integer']
