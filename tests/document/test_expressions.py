"""Evaluates expressions: their values, their places, and the limits of the sandbox."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_runbook.document.diagnostics import Span
from django_runbook.document.expressions import (
    ExpressionError,
    Template,
    evaluate_condition,
    parse_condition,
    parse_template,
    render,
)
from django_runbook.document.views import StepView
from tests.examples import examples

CONTEXT: dict[str, Any] = {
    "params": {
        "day": datetime.date(2013, 1, 31),
        "n": 3,
        "text": "a b",
        "items": [1, 2],
        "none": None,
        "data": "${{ x }}",
    },
    "steps": {
        "late": StepView(id="late", status="succeeded", output={"count": 4, "keys": 5}),
        "off": StepView(id="off", status="skipped"),
    },
    "now": datetime.datetime(2013, 1, 31, 6, 30, tzinfo=datetime.UTC),
}


def locate(start: int, end: int) -> Span:
    return Span(1, start + 1, 1, end + 1)


def value_of(text: str) -> object:
    template, problems = parse_template(text, locate)
    assert problems == []
    return render(template, CONTEXT)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("${{ params.n }}", 3),
        ("${{ params['n'] + 1 }}", 4),
        ("<${{ params.n }}>", "<3>"),
        ("${{ params.n }}${{ params.n }}", "33"),
        ("${{ params.day }}", datetime.date(2013, 1, 31)),
        ("on ${{ params.day }}", "on 2013-01-31"),
        ("${{ params.day.strftime('%d.%m.%Y') }}", "31.01.2013"),
        ("${{ now.date() == params.day }}", True),
        ("is ${{ params.n == 3 }}", "is true"),
        ("$${{ params.n }}", "${{ params.n }}"),
        ("$${{ a }} ${{ params.n }}", "${{ a }} 3"),
        ("}} ${{ params.n }} {{", "}} 3 {{"),
        ("${{ {'a': {'b': '}}'}}.a.b }}", "}}"),
        ("${{ params.items }}", [1, 2]),
        ("${{ params.items | length }}", 2),
        ("${{ params.items | join(',') }}", "1,2"),
        ("${{ steps.late.output.count }}", 4),
        ("${{ steps.late.output.keys }}", 5),
        ("${{ steps.off.output | default('nothing') }}", "nothing"),
        ("${{ steps.off.output is defined }}", False),
        ("${{ params.data }}", "${{ x }}"),
        ("${{ 'yes' if params.n > 2 else 'no' }}", "yes"),
        ("${{ params.items | tojson }}", "[1, 2]"),
        ("${{ params.text | replace(' ', '_') | upper }}", "A_B"),
        ("${{ params.text.split() }}", ["a", "b"]),
    ],
)
def test_values(text: str, value: object) -> None:
    result = value_of(text)
    assert result == value
    assert type(result) is type(value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<${{ params.none }}>", "null"),
        ("<${{ params.items }}>", "a list"),
        ("<${{ steps.late.output }}>", "a mapping"),
        ("${{ params.missing }}", 'the key "missing" is missing'),
        ("${{ steps.late.output.cont }}", 'did you mean "count"?'),
        ("${{ steps.off.output }}", 'step "off" is skipped and has no output'),
        ("${{ params.items[7] }}", "index 7 is out of range"),
        ("${{ 1 / 0 }}", "division by zero"),
        ("${{ params.n + params.text }}", '"+" cannot be applied to a number and a string'),
        ("${{ params.n.upper() }}", 'a number has no method "upper"'),
        ("${{ params.text.upper }}", "write upper()"),
        ("${{ [params.missing] }}", 'the key "missing" is missing'),
        ("${{ {'a': [params.items[7]]} }}", "index 7 is out of range"),
        ("${{ now - params.day }}", "cannot be applied to a date and time and a date"),
        ("<${{ now - now }}>", "a duration (timedelta)"),
        ("${{ now.tzinfo }}", "a time zone (tzinfo) is not plain data"),
        ("<${{ now.tzinfo }}>", "a time zone (tzinfo)"),
    ],
)
def test_the_error_gives_the_reason(text: str, words: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        value_of(text)
    assert words in caught.value.message


ESCAPES = [
    "''.__class__",
    "''['__class__']",
    "''|attr('__class__')",
    "params.__class__.__mro__",
    "params.n.__add__(1)",
    "[].append.__self__",
    "'{0.__class__}'.format(params)",
    "'{0.__class__}'.format_map(params)",
    "'%s' % params",
    "[params]|map(attribute='__class__')|first",
    "[params]|map('attr', '__class__')|first",
    "params|xmlattr",
    "lipsum.__globals__",
    "cycler",
    "range(10)",
    "namespace()",
    "joiner()",
    "dict()",
    "params.update({'n': 1})",
    "params.items.append(3)",
    "params.items.pop()",
    "steps.late.clear()",
    "now.__reduce__()",
    "params.text.encode()",
    "params.day.__class__.today()",
    "params.day.today()",
    "(params.text.lower).__globals__",
]
BLOW_UPS = [
    "'x' * 1000000000",
    "1000000000 * 'x'",
    "[0] * 1000000000",
    "2 ** 1000000",
    "9 ** 9 ** 9 ** 9 ** 9",
    "('a' * 100000)|replace('a', 'x' * 100000)",
    "'x'|center(1000000000)",
    "'%1000000000d' % 1",
    "'x'.ljust(1000000000)",
    "['a']|join('x' * 1000000000)",
]


@pytest.mark.parametrize("source", [*ESCAPES, *BLOW_UPS])
def test_the_sandbox_refuses_it(source: str) -> None:
    template, problems = parse_template("${{ " + source + " }}", locate)
    if problems:
        return
    try:
        value = render(template, CONTEXT)
    except ExpressionError:
        return
    raise AssertionError(f"{source} gave {value!r}")


@pytest.mark.parametrize(
    ("text", "column", "code"),
    [
        ("a ${{ params.n | nofilter }}", 18, "RB304"),
        ("a ${{ params.n foo }}", 16, "RB303"),
        ("a ${{ params.n", 3, "RB301"),
        ("a ${{ }}", 3, "RB303"),
        ("a ${{ (params.n }}", 15, "RB303"),
    ],
)
def test_errors_are_placed_at_their_token(text: str, column: int, code: str) -> None:
    _, (problem,) = parse_template(text, locate)
    assert (problem.span.column, problem.code) == (column, code)


def test_a_condition_must_be_true_or_false() -> None:
    expression, problems = parse_condition("params.n", locate)
    assert problems == []
    assert expression is not None
    with pytest.raises(ExpressionError, match="not true or false"):
        evaluate_condition(expression, CONTEXT)


@pytest.mark.slow
@settings(max_examples=examples(300))
@given(text=st.text(alphabet="ab1 .|()[]{}'\"+-*/%~<>=!,:$\\_", max_size=60))
def test_random_expressions_never_give_a_traceback(text: str) -> None:
    template, problems = parse_template("${{ " + text + " }}", locate)
    if not problems and isinstance(template, Template):
        try:
            render(template, CONTEXT)
        except ExpressionError:
            return


@pytest.mark.parametrize(
    "text", ["(" * 10_000, "not " * 900, "-" * 3000 + "1", "1" + "+1" * 1500, "[" * 500 + "]" * 500]
)
def test_deep_and_long_expressions_are_refused(text: str) -> None:
    template, problems = parse_template("${{ " + text + " }}", locate)
    if not problems:
        render(template, CONTEXT)
