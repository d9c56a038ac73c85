"""Evaluates expressions with hostile data: each gives plain data or an ExpressionError at its place."""

from __future__ import annotations

import datetime
import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_runbook.document.diagnostics import Span
from django_runbook.document.evaluation import filters, functions, members, tests
from django_runbook.document.expressions import (
    Expression,
    ExpressionError,
    Template,
    evaluate,
    evaluate_condition,
    parse_condition,
    parse_template,
    render,
    render_text,
)
from django_runbook.document.inputs import GivenInputs, resolve
from django_runbook.document.loops import digest_of, items_of, label_of
from django_runbook.document.runbook import Located
from django_runbook.document.syntax import source
from django_runbook.document.validation import validate
from django_runbook.document.views import StepView
from tests.document.evaluation.support import is_plain
from tests.examples import examples

NOW = datetime.datetime(2013, 1, 31, 6, 30, tzinfo=datetime.UTC)
HERE = Span(1, 1, 1, 2)
MEBI = 1024 * 1024
# Any code point: halves of pairs, controls, non-characters and NUL too.
TEXTS = st.text(alphabet=st.characters(), max_size=20) | st.sampled_from(
    ["\ud800", "\udfff\ud800", "\0", "\ufdd0", "\ufdd1", "\u2028", "\x1b[31m", "${{ x }}", "{{ x }}", "%s%n", "{0.__class__}", "-1", "--x"]
)  # fmt: skip
NUMBERS = (
    st.integers()
    | st.floats()
    | st.integers(2000, 15_000).map(lambda bits: 1 << bits)
    | st.sampled_from([0, -1, 10**600])
)
SCALARS = st.none() | st.booleans() | NUMBERS | TEXTS
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5), max_leaves=20
)
LARGE = st.sampled_from(
    [
        "a" * MEBI,
        "\ud800" * MEBI,
        "ß\n\t" * (MEBI // 3),
        list(range(100_000)),
        [{"a": str(number), "b": [number]} for number in range(20_000)],
        {str(number): [None] for number in range(50_000)},
        json.loads("[" * 100 + "1" + "]" * 100),
        [["x" * 1000] * 1000],
    ]
)
DATES = st.dates() | st.datetimes() | st.datetimes(timezones=st.just(datetime.UTC)) | st.timedeltas() | st.times()
DATA = JSON | LARGE | DATES
ATOMS = [
    "v",
    "w",
    "v[0]",
    "v.a",
    "w['a']",
    "v.a.b",
    "today",
    "now",
    "1",
    "-1",
    "2.5",
    "'a'",
    "none",
    "true",
    "[v, w]",
    "{'a': v}",
]


def calls() -> list[str]:
    names = [*(f"| {name}" for name in filters.FILTERS), *(f"is {name}" for name in tests.TESTS if name.isalpha())]
    methods = {name for table in members.METHODS.values() for name in table}
    return [
        *names,
        *(f".{name}" for name in methods),
        *(f" {sign} " for sign in ["+", "-", "*", "/", "//", "%", "**", "~", "==", "<", ">", "in", "and", "or"]),
    ]


CALLS = calls()
ARGUMENTS = [
    "",
    "({0})",
    "({0}, {1})",
    "('upper')",
    "('eq', {0})",
    "('a', 'eq', {0})",
    "(attribute='a')",
    "(attribute={0})",
]


@st.composite
def expressions(draw: Any) -> str:
    text = f"({draw(st.sampled_from(ATOMS))})"
    for _ in range(draw(st.integers(1, 4))):
        name = draw(st.sampled_from(CALLS))
        if name.startswith(" "):
            text = f"({text}{name}{draw(st.sampled_from(ATOMS))})"
            continue
        atoms = [draw(st.sampled_from(ATOMS)) for _ in range(2)]
        arguments = draw(st.sampled_from(ARGUMENTS)).format(*atoms)
        if name.startswith(".") and not arguments:
            arguments = "()"
        text = f"({text} {name}{arguments})" if not name.startswith(".") else f"{text}{name}{arguments}"
    return str(draw(st.sampled_from([text, text, text, *(f"{name}({text})" for name in functions.FUNCTIONS)])))


def locate(start: int, end: int) -> Span:
    return Span(1, start + 1, 1, end + 1)


def outcome(function: Callable[[], object]) -> object:
    """Return the value, or the only allowed error."""
    try:
        return function()
    except ExpressionError as error:
        return error


def parsed(text: str) -> Expression | None:
    template, problems = parse_template(f"${{{{ {text} }}}}", locate)
    return None if problems or not isinstance(template, Template) else template.whole


SLOW = settings(
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


@pytest.mark.slow
@settings(SLOW, max_examples=examples(600))
@given(text=expressions(), value=DATA, other=DATA)
def test_an_expression_gives_plain_data_or_an_error_at_its_place(text: str, value: object, other: object) -> None:
    expression = parsed(text)
    if expression is None:
        return
    context = {"v": value, "w": other, "now": NOW, "today": NOW.date()}
    found = outcome(lambda: evaluate(expression, context))
    if isinstance(found, ExpressionError):
        assert found.span == expression.span
        assert len(found.message) < 5000
    else:
        assert is_plain(found)


@pytest.mark.slow
@settings(SLOW, max_examples=examples(150))
@given(text=expressions(), value=DATA, other=DATA)
def test_a_condition_gives_true_or_false_or_an_error(text: str, value: object, other: object) -> None:
    expression, problems = parse_condition(text, locate)
    if problems or expression is None:
        return
    context = {"v": value, "w": other, "now": NOW, "today": NOW.date()}
    found = outcome(lambda: evaluate_condition(expression, context))
    assert found in {True, False} if isinstance(found, bool) else isinstance(found, ExpressionError)


@pytest.mark.slow
@settings(SLOW, max_examples=examples(150))
@given(
    value=DATA,
    text=st.sampled_from(["${{ v }}", "lock-${{ v }}", "${{ v }}${{ v }}", "${{ v.a }}-${{ v[0] }}", "${{ [v] }}"]),
)
def test_names_locks_and_questions_are_strings_or_errors(value: object, text: str) -> None:
    template, problems = parse_template(text, locate)
    assert problems == []
    found = outcome(lambda: render_text(template, {"v": value}))
    assert type(found) in {str, ExpressionError}
    found = outcome(lambda: render(template, {"v": value}))
    assert isinstance(found, ExpressionError) or is_plain(found)


@pytest.mark.slow
@settings(SLOW, max_examples=examples(150))
@given(value=DATA)
def test_items_have_labels_and_digests_or_errors(value: object) -> None:
    template, _ = parse_template("${{ v }}", locate)
    items = outcome(lambda: items_of(Located(value=template, span=HERE), {"v": value}))
    assert isinstance(items, tuple | ExpressionError)
    for item in items if isinstance(items, tuple) else ():
        label = label_of(item, mask=lambda text: text)
        assert len(label) <= 60
        assert len(label.splitlines()) <= 1
        assert digest_of(item, mask=lambda text: text)


RUNBOOK = """
params:
  a: {type: string, default: x}
  b: {type: list, default: [x]}
  c: {type: integer, default: null}
  d: {type: date, default: "${{ today - days(1) }}"}
vars:
  text: ${{ params.a }}-${{ params.d }}
  items: ${{ params.b | map("upper") | list }}
  number: ${{ (params.c | default(0, true)) + (params.a | int) }}
  first: ${{ params.b[0] ~ params.a[:3] }}
steps: [noop]
"""


@pytest.mark.slow
@settings(SLOW, max_examples=examples(200))
@given(given=st.dictionaries(st.sampled_from("abcdx"), TEXTS | LARGE.filter(lambda one: isinstance(one, str))))
def test_parameters_and_vars_are_values_or_problems(given: dict[str, str]) -> None:
    runbook, problems = validate.load(source.Source(path="a.yml", text=RUNBOOK))
    assert problems == []
    assert runbook is not None
    known = resolve(runbook, GivenInputs(params=given, now=NOW))
    assert is_plain(dict(known.params))
    assert is_plain(dict(known.vars))
    assert all(len(problem.message) < 500 for problem in known.problems)
    assert all(len(item.message) < 5000 for item in known.diagnostics)


@pytest.mark.slow
@settings(SLOW, max_examples=examples(100))
@given(values=st.dictionaries(st.sampled_from("abcdx"), DATA))
def test_values_of_a_caller_are_values_or_problems(values: dict[str, object]) -> None:
    runbook, _ = validate.load(source.Source(path="a.yml", text=RUNBOOK))
    assert runbook is not None
    known = resolve(runbook, GivenInputs(values=values, now=NOW))
    assert all(len(problem.message) < 500 for problem in known.problems)


class Broken(dict[str, object]):
    """Raises at every access."""

    def __getitem__(self, key: str) -> object:
        raise MemoryError

    def __contains__(self, key: object) -> bool:
        raise RecursionError


class Odd(Exception):
    def __str__(self) -> str:
        raise ValueError("no text")


class Worse(dict[str, object]):
    def __contains__(self, key: object) -> bool:
        raise Odd


@pytest.mark.parametrize("value", [Broken(a=1), Worse(), StepView(id="x", status="failed")])
@pytest.mark.parametrize(
    "text", ["v", "v.a", "v['a']", "v | tojson", "v | length > 5 and v.a", "'a' in v", "v == {'a': 1}"]
)
def test_any_exception_becomes_an_error_at_its_place(value: object, text: str) -> None:
    expression = parsed(text)
    assert expression is not None
    found = outcome(lambda: evaluate(expression, {"v": value}))
    assert is_plain(found) or isinstance(found, ExpressionError)
