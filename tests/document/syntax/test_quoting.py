"""Reports unquoted expressions at their places with their quoted form, however YAML reads them."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from django_runbook.document.diagnostics import Diagnostic
from django_runbook.document.syntax import source
from django_runbook.document.syntax.parse import parse
from django_runbook.document.validation import validate
from tests.examples import examples

EXPRESSIONS = [
    "params.a",
    "params['a']",
    'params["a"]',
    "params.a | default('')",
    'params.a | join(", ")',
    "{'a': 1}.a",
    '{"a": 1, "b": [1, 2]}["b"][0]',
    "[1, 2][0]",
    '"x" ~ params.a ~ "y"',
    '"a: b"',
    "'}}' ~ params.a",
    "params.a if params.a else 'x'",
    "-params.n",
    "*params.a",
    "&params.a",
    "!params.a",
    "%params.a",
    "@params.a",
    "`params.a`",
    "params.a # not a comment",
    "?params.a",
    ", params.a",
    "it's",
    "",
]
PLACES = {
    "value": "  - command: say\n    name: {}\n",
    "in a flow mapping": "  - command: say\n    options: {{to: {}, verbosity: 1}}\n",
    "last in a flow mapping": "  - command: say\n    options: {{verbosity: 1, to: {}}}\n",
    "in a flow list": "  - command: say\n    args: [a, {}, b]\n",
    "in nested flow": "  - {{command: say, options: {{to: [{}]}}}}\n",
    "in a block list": "  - command: say\n    args:\n      - {}\n      - b\n",
    "in a condition": "  - command: say\n    when: {} == 1\n",
    "as a step": "  - {}\n",
    "before text": "  - command: say\n    name: {}-x/y\n",
}


def problems_of(text: str) -> list[Diagnostic]:
    return parse(source.Source(path="a.yml", text=text)).diagnostics


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
@pytest.mark.parametrize("opening", ["{{", "${{"])
def test_an_unquoted_expression_is_reported_at_its_place(place: str, opening: str) -> None:
    for expression in EXPRESSIONS:
        check_report(place, opening, expression)


def check_report(place: str, opening: str, expression: str) -> None:
    before, after = "params: {a: 1}\nsteps:\n", "  - command: say\n    nme: last\n"
    written = f"{opening} {expression} }}}}"
    text = before + place.format(written) + after
    found = problems_of(text)
    codes = {item.code for item in found}
    line = next(number for number, one in enumerate(text.splitlines(), start=1) if written in one)
    if not found:
        # A plain string on its own line may contain braces.
        assert opening == "${{"
        return
    assert codes <= {"RB113"}, found
    assert [item.span.line for item in found] == [line]
    assert text.splitlines()[line - 1][found[0].span.column - 1 :].startswith((opening, "say"))
    # The rest of the file is still checked.
    _, everything = validate.load(source.Source(path="a.yml", text=text))
    assert [item.message for item in everything if item.code == "RB201"] == ['unknown key "nme" in a command step']


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_yaml_reads_the_hint_as_the_expression(expression: str) -> None:
    (problem,) = problems_of(f"a: {{{{ {expression} }}}}")
    assert problem.help.startswith("quote it: ")
    quoted = problem.help.removeprefix("quote it: ")
    assert yaml.safe_load(f"a: {quoted}") == {"a": " ".join(f"${{{{ {expression} }}}}".split())}
    assert problems_of(f"a: {quoted}") == []
    assert problems_of(f"{{a: [{quoted}]}}") == []


def test_several_unquoted_expressions_are_all_reported() -> None:
    text = "a: {b: {{ x }}, c: [${{ y }}, {{ z | join(', ') }}], d: w-${{ w }}}\ne: {{ v }} and {{ u }}\n"
    found = problems_of(text)
    assert [(item.span.line, item.span.column) for item in found] == [(1, 8), (1, 21), (1, 31), (1, 57), (2, 4)]
    assert found[-1].help == 'quote it: "${{ v }} and ${{ u }}"'


@pytest.mark.parametrize(
    "text",
    [
        'a: "{{ x }}"\n',
        "a: '{{ x }}'\n",
        "a: x {{ y }}\n",
        "a: ${{ x }}\n",
        "a: |\n  {{ x }}: [\n",
        "# {{ x }}: [\n",
        "a: {b: {c: 1}}\n",
        "a: [{b: {c: {d: 1}}}]\n",
        'a: {"{{ b }}": "}}"}\n',
    ],
)
def test_braces_that_yaml_reads_as_a_string_are_accepted(text: str) -> None:
    assert problems_of(text) == []


@pytest.mark.parametrize("text", ["[a]: b", "{a: b}: c", "? {a: b}\n: c", "? [a, b]\n: c", "1: a", "true: a", "~: a"])
def test_a_key_that_is_not_a_string_is_reported_at_its_place(text: str) -> None:
    (problem,) = problems_of(text)
    assert (problem.code, problem.span.line) == ("RB111", 1)
    assert problem.help


PARTS = [
    *(f"{{{{ {one} }}}}" for one in EXPRESSIONS),
    *(f"${{{{ {one} }}}}" for one in EXPRESSIONS),
    *"[]{},:#'\"&*!?-|>% \n",
    *("- ", ": ", "a", "\n  ", "{{", "}}", "${{"),
]


@settings(max_examples=examples(300))
@given(
    parts=st.lists(
        st.sampled_from(PARTS),
        max_size=12,
    )
)  # fmt: skip
def test_braces_never_give_a_traceback_or_hide_an_error(parts: list[str]) -> None:
    text = "steps:\n  - " + "".join(parts) + "\n"
    _, found = validate.load(source.Source(path="a.yml", text=text))
    line_count = text.count("\n") + 1
    assert all(1 <= item.span.line <= line_count for item in found)


@pytest.mark.parametrize("number", range(0xFDD0, 0xFDF0))
def test_an_escape_is_data_whatever_its_character(number: int) -> None:
    text = f'steps:\n  - "say \\u{number:04X} ${{{{ 1 }}}} \\u{number:04X}"\n  - "\\u{number:04X}"\n'
    runbook, found = validate.load(source.Source(path="a.yml", text=text))
    assert found == []
    assert runbook is not None
    first, second = runbook.block.steps
    assert [token.value for token in first.command][1::2] == [chr(number), chr(number)]  # type: ignore[union-attr]  # a command
    assert [token.value for token in second.command] == [chr(number)]  # type: ignore[union-attr]  # a command
