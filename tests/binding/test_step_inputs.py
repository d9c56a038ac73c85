"""The standard input and the variables of a command, from the values of its step."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from django_runbook.binding.partial_text import has_holes
from django_runbook.binding.step_inputs import process_inputs
from django_runbook.binding.step_values import StepValues
from django_runbook.document.expressions import ExpressionError
from django_runbook.document.inputs import GivenInputs, resolve
from django_runbook.document.runbook import CommandStep
from django_runbook.process_inputs import NO_INPUTS, ProcessInputs
from tests.document.support import read_file

NOW = datetime.datetime(2013, 1, 31, 6, tzinfo=datetime.UTC)


def inputs_of(keys: str, *, is_running: bool = True, **params: object) -> ProcessInputs:
    names = ", ".join(f"{name}: {{type: string, default: null}}" for name in params)
    runbook = read_file(
        f"params: {{{names}}}\nsteps:\n  - {{id: one, command: x, capture: text}}\n  - {keys}\n"
    ).runbook
    step = runbook.block.steps[1]
    assert isinstance(step, CommandStep)
    known = resolve(runbook, GivenInputs(now=NOW, run={"name": "it"}))
    context: dict[str, Any] | None = known.context(params=params, steps={}) if is_running else None
    return process_inputs(step, StepValues(inputs=known, context=context))


def test_most_steps_have_neither() -> None:
    assert inputs_of("{command: x}") is NO_INPUTS


@pytest.mark.parametrize(
    ("value", "variable"),
    [
        ("eu", "eu"),
        ('""', ""),
        ("1.50", "1.50"),
        ("0x10", "0x10"),
        ("true", "true"),
        ("null", None),
        ('"a ${{ 1 + 1 }}"', "a 2"),
        ('"${{ 1.50 }}"', "1.5"),
        ('"${{ 1 == 1 }}"', "true"),
        ('"${{ none }}"', None),
        ('"${{ today }}"', "2013-01-31"),
    ],
)
def test_a_variable_is_text_or_removed(value: str, variable: str | None) -> None:
    assert inputs_of(f"{{command: x, env: {{A: {value}}}}}").env == {"A": variable}


@pytest.mark.parametrize(
    ("keys", "data", "message"),
    [
        ("env: {A: '${{ params.data }}'}", ["a"], "the value is a list"),
        ("env: {A: '${{ params.data }}'}", "a\0b", "NUL character"),
        ("env: {A: 'x ${{ params.data }}'}", "a\0b", "NUL character"),
        ("env: {A: '${{ params.data }}'}", "\ud83d", "half a surrogate pair"),
        ("stdin: '${{ params.data }}'", "\ud83d", "half a surrogate pair"),
        ("stdin: '${{ params.data }}'", None, "null, which cannot be part of a string"),
        ("stdin: '${{ params.data }}'", ["a"], "a list, which cannot be part of a string"),
    ],
)
def test_data_that_no_process_takes_is_an_error_of_the_step(keys: str, data: object, message: str) -> None:
    with pytest.raises(ExpressionError, match=message):
        inputs_of(f"{{command: x, {keys}}}", data=data)


def test_a_value_that_is_not_known_yet_has_a_hole() -> None:
    found = inputs_of(
        "{command: x, stdin: 'a ${{ steps.one.output }}', env: {A: '${{ steps.one.output }}', B: b}}", is_running=False
    )
    assert (found.stdin, has_holes(found.stdin), has_holes(found.env["A"]), found.env["B"]) == ("a ?", True, True, "b")
