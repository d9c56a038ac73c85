"""Runbooks in, the expressions out whose kind of value cannot be used at their place."""

from __future__ import annotations

import pytest

from django_runbook.document.syntax.source import Source
from django_runbook.document.validation.validate import load

HEAD = """\
params:
  day: {type: date}
  ids: {type: list}
  count: {type: integer}
vars: {text: x}
secrets: [TOKEN]
steps:
  - {id: first, command: say, capture: lines}
"""
NO_TEXT = "which cannot be part of a string"
PLACES = {
    "a word": ("say ${{ VALUE }}", NO_TEXT),
    "a part of a word": ("say a${{ VALUE }}b", NO_TEXT),
    "a name": ("{command: say, name: '${{ VALUE }}'}", NO_TEXT),
    "a question": ("{command: say, confirm: 'Really ${{ VALUE }}?'}", NO_TEXT),
    "a lock": ("{command: say, lock: 'x ${{ VALUE }}'}", NO_TEXT),
    "a part of an argument": ("{command: say, args: ['x ${{ VALUE }}']}", NO_TEXT),
    "an argument": ("{command: say, args: ['${{ VALUE }}']}", "which no command takes"),
    "an option": ("{command: say, options: {to: '${{ VALUE }}'}}", "which no command takes"),
    "one of several values": ("{command: say, options: {to: ['${{ VALUE }}']}}", "which no command takes"),
}
MAPPINGS = ("params", "vars", "secrets", "run", "steps", "steps.first", "{'a': 1}", "params if params.count else vars")
OTHERS = {"params.ids": "a list", "none": "null", "params.ids | sort": "a list", "[1]": "a list"}
TEXTS = ("params.day", "params.count", "vars.text", "secrets.TOKEN", "run.id", "today", "params.ids or params.count")


def reported(step: str) -> list[tuple[int, str]]:
    _, found = load(Source(path="daily.yml", text=f"{HEAD}  - {step}\n"))
    return [(item.span.line, item.message) for item in found]


@pytest.mark.parametrize("value", MAPPINGS)
@pytest.mark.parametrize(("step", "reason"), PLACES.values(), ids=list(PLACES))
def test_a_mapping_is_reported_where_a_string_is_needed(step: str, reason: str, value: str) -> None:
    assert reported(_step(step, value)) == [(9, f'"{value}" is a mapping, {reason}')]


@pytest.mark.parametrize(("value", "kind"), OTHERS.items())
def test_a_list_and_null_are_reported_inside_a_string_only(value: str, kind: str) -> None:
    assert reported(_step(PLACES["a word"][0], value)) == [(9, f'"{value}" is {kind}, {NO_TEXT}')]
    assert reported(_step(PLACES["an option"][0], value)) == []


@pytest.mark.parametrize("value", TEXTS)
@pytest.mark.parametrize(("step", "reason"), PLACES.values(), ids=list(PLACES))
def test_what_may_be_a_string_is_accepted(step: str, reason: str, value: str) -> None:
    del reason
    assert reported(_step(step, value)) == []


def _step(step: str, value: str) -> str:
    if step[0] == "{":
        return step.replace("VALUE", value.replace("'", "''"))
    return f'"{step.replace("VALUE", value)}"'
