"""The ``env`` of a file: what it accepts, and the values that it gives to expressions."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path

import pytest

from django_runbook import checking, conf
from django_runbook.document import inputs
from django_runbook.document.inputs import GivenInputs, Inputs
from tests.document.support import read_file

NOW = datetime.datetime(2013, 1, 31, 6, tzinfo=datetime.UTC)


def resolved(text: str, environ: Mapping[str, str], recorded_env: Mapping[str, str | None] | None = None) -> Inputs:
    runbook = read_file(text).runbook
    return inputs.resolve(
        runbook, GivenInputs(environ=environ, now=NOW, run={"id": "1"}, recorded_env=recorded_env or {})
    )


@pytest.mark.parametrize(
    ("default", "value"),
    [("eu", "eu"), ('""', ""), ("1.50", "1.50"), ("0x10", "0x10"), ("true", "true"), ('"a b"', "a b"), ("no", "no")],
)
def test_a_default_is_the_text_of_the_file(default: str, value: str) -> None:
    assert resolved(f"env: [{{name: A, default: {default}}}]\nsteps: [x]", {}).env == {"A": value}


@pytest.mark.parametrize(
    ("declared", "environ", "value"),
    [
        ("A", {"A": "1"}, {"A": "1"}),
        ("A", {"A": ""}, {"A": ""}),
        ("{name: A, default: d}", {"A": ""}, {"A": ""}),
        ("{name: A, default: d}", {"A": "1", "B": "2"}, {"A": "1"}),
        ("A", {}, {}),
    ],
)
def test_the_environment_wins_over_the_default(declared: str, environ: dict[str, str], value: dict[str, str]) -> None:
    found = resolved(f"env: [{declared}]\nsteps: [x]", environ)
    assert found.env == value
    assert [str(problem) for problem in found.problems] == (
        [] if value else ['the environment variable "A" is not set; set it, or give it a default']
    )


@pytest.mark.parametrize(("recorded", "value"), [({"A": "old"}, "old"), ({"A": None}, "d"), ({}, "new")])
def test_a_recorded_value_wins_over_the_environment(recorded: dict[str, str | None], value: str) -> None:
    text = "env: [{name: A, default: d}]\nsteps: [x]"
    assert resolved(text, {"A": "new"}, recorded_env=recorded).env == {"A": value}


def test_a_value_that_is_not_utf_8_is_a_problem() -> None:
    found = resolved("env: [A]\nsteps: [x]", {"A": "\udce9"})
    assert [problem.message for problem in found.problems] == ['the environment variable "A" is not valid UTF-8']


def test_defaults_of_parameters_and_vars_can_read_it() -> None:
    text = """
env: [A]
params: {where: {type: string, default: "in ${{ env.A }}"}, count: {type: integer, default: "${{ env.A | length }}"}}
vars: {place: "${{ env.A }}-${{ params.where }}"}
steps: [x]
"""
    found = resolved(text, {"A": "eu"})
    assert (found.params, found.vars) == ({"where": "in eu", "count": 2}, {"place": "eu-in eu"})
    # While a file is only checked, the value is unknown, and the file has no error.
    unknown = resolved(text, {})
    assert (unknown.params, unknown.vars, unknown.diagnostics) == ({}, {}, ())


def test_a_called_runbook_has_its_own(tmp_path: Path) -> None:
    (tmp_path / "inner.yml").write_text("env: [B, {name: C, default: inner}]\nsteps: ['x ${{ env.B }} ${{ env.A }}']\n")
    outer = tmp_path / "outer.yml"
    text = "env: [A, {name: C, default: outer}]\nsteps: [{id: call, runbook: inner.yml}, 'x ${{ env.B }}']\n"
    outer.write_text(text)
    loaded = checking.load(outer, name=str(outer), configuration=conf.read())
    runbook = loaded.runbook
    assert [(Path(item.path or str(outer)).name, item.message) for item in loaded.diagnostics] == [
        ("outer.yml", 'unknown environment variable "B"'),
        ("inner.yml", 'unknown environment variable "A"'),
    ]
    assert runbook is not None
    given = GivenInputs(environ={"A": "1"}, now=NOW, run={})
    known = inputs.resolve(runbook, given)
    assert [problem.name for problem in known.problems] == ["B"]
    known = inputs.resolve(runbook, GivenInputs(environ={"A": "1", "B": "2"}, now=NOW, run={}))
    step = runbook.block.steps[0]
    assert known.env == {"A": "1", "C": "outer"}
    assert inputs.resolve_call(step, known).env == {"B": "2", "C": "inner"}  # type: ignore[arg-type]  # a call
