"""Holds every operation of expressions to its bounds, whatever the data: a table of all of them, and hostile values.

The work is counted by the budget; what C code does between two counts is measured as time of this process.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import random
import re
import time
from collections.abc import Callable, Iterator

import pytest

from django_runbook.document.evaluation import filters, members, tests
from django_runbook.document.evaluation.budget import MAX_CHARACTERS, Budget
from django_runbook.document.evaluation.functions import FUNCTIONS
from django_runbook.document.evaluation.grammar import SourceError
from django_runbook.document.evaluation.values import OperationError
from tests.document.evaluation.support import is_plain, value_of, value_within
from tests.patience import scaled

LARGE = 10_000


def random_numbers(count: int) -> list[float]:
    rng = random.Random(1)
    return [rng.random() for _ in range(count)]


ARGUMENT = re.compile(r"(?<!['\w])a(?!['\w])")
DEEP: object = 1
for _ in range(2000):
    DEEP = [DEEP]
# What is shared counts as often as it is found: ten levels of ten are ten thousand million items.
SHARED: object = 1
for _ in range(10):
    SHARED = [SHARED] * 10

VALUES: dict[str, object] = {
    "null": None,
    "zero": 0,
    "large number": 10**4000,
    "small number": -(10**600),
    "fraction": 1e308,
    "infinity": float("inf"),
    "no number": float("nan"),
    "empty text": "",
    "letters": "a" * MAX_CHARACTERS,
    "other letters": "ß" * 1_000_000,
    "spaces": " " * 1_000_000,
    "lines": "\n" * MAX_CHARACTERS,
    "digits": "9" * 1_000_000,
    "format": "%1000000000d%s{0:1000000000}",
    "surrogate": "\ud800\udfff\0",
    "numbers": random_numbers(LARGE),
    "one hash": [number * (2**61 - 1) for number in range(LARGE)],
    "one prefix": ["x" * 40 + str(number) for number in range(LARGE)],
    "equal texts": ["x" * 1000 + chr(97 + number % 2) for number in range(4_000)],
    "pairs": [[number, str(number)] for number in range(LARGE // 2)],
    "mappings": [{"a": number, "b": str(number)} for number in range(LARGE // 4)],
    "mapping": {str(number): number for number in range(LARGE)},
    "deep": DEEP,
    "shared": SHARED,
    "mixed": [1, "a", None, True, 2.5, [1], {"a": 1}],
    "first day": datetime.date.min,
    "last moment": datetime.datetime.max.replace(tzinfo=datetime.UTC),
    "longest time": datetime.timedelta.max,
}
ARGUMENTS: dict[str, object] = {
    "large number": 10**600,
    "small number": -2_000_000_000,
    "letters": "a" * 200_000 + "b",
    "numbers": VALUES["numbers"],
    "null": None,
}
OPERATORS = [
    *(f"v {sign} a" for sign in ("+", "-", "*", "/", "//", "%", "**", "~", "==", "!=", "<", "<=", ">", ">=")),
    *("v in a", "a in v", "v not in a", "v and a", "v or a", "not v", "-v", "+v", "v if a else a", "[v, a, v]"),
    *("{'v': v, 'a': a}", "{a: v}", "(v, a)", "v[a]", "v[a:]", "v[::a]", "v[:a:2]", "v.a", "v.a.a", "v ~ v ~ a"),
    *("v * a * a", "a ** v ** v", "[v] * a", "[v] + [a] + [v]", "[[v]] * 1000", "[v] == [a]", "[v, v] == [v, v]"),
]
FILTERS = {
    "abs": ["v | abs"],
    "capitalize": ["v | capitalize"],
    "count": ["v | count"],
    "d": ["v | d(a)", "v.x | d(a)"],
    "default": ["v | default(a, true)", "v.x | default(a)"],
    "dictsort": ["v | dictsort", "v | dictsort(by='value')", "v | dictsort(a, 'value', a)"],
    "first": ["v | first", "v | first | first"],
    "float": ["v | float", "v | float(a)"],
    "int": ["v | int", "v | int(a)", "v | int(0, a)", "v | int(0, 16)", "v | int(0, 36)"],
    "items": ["v | items"],
    "join": ["v | join", "v | join(a)", "v | join(a, 'a')", "v | join(a, a)"],
    "last": ["v | last"],
    "length": ["v | length"],
    "list": ["v | list"],
    "lower": ["v | lower"],
    "map": ["v | map('upper')", "v | map('round', a)", "v | map('map', 'list')", "v | map(attribute=a, default=a)"],
    "max": ["v | max", "v | max(true)", "v | max(attribute=a)"],
    "min": ["v | min", "v | min(attribute='a.b')"],
    "reject": ["v | reject", "v | reject('in', a)"],
    "rejectattr": ["v | rejectattr('a')", "v | rejectattr(a, 'eq', v)"],
    "replace": ["v | replace('a', a)", "v | replace('', a)", "v | replace(a, v)", "v | replace('a', 'bc', a)"],
    "reverse": ["v | reverse"],
    "round": [
        "v | round",
        "v | round(a)",
        "v | round(a, 'ceil')",
        "v | round(300, 'floor')",
        "v | round(-300, 'ceil')",
    ],
    "select": ["v | select", "v | select('eq', v)", "v | select('in', a)", "v | select('divisibleby', a)"],
    "selectattr": ["v | selectattr('a')", "v | selectattr('a', 'eq', v)", "v | selectattr(a, 'in', v)"],
    "sort": ["v | sort", "v | sort(true, true)", "v | sort(attribute='b,a')", "v | sort(attribute=a)"],
    "string": ["v | string"],
    "sum": ["v | sum", "v | sum(start=a)", "v | sum(start=[])", "v | sum('a')", "v | sum(a, v)"],
    "title": ["v | title"],
    "tojson": ["v | tojson", "[v, v, v] | tojson | tojson"],
    "trim": ["v | trim", "v | trim(a)"],
    "unique": ["v | unique", "v | unique(true, a)", "v | unique(attribute='a')"],
    "upper": ["v | upper"],
}
BINARY_TESTS = ["divisibleby", "eq", "equalto", "ge", "greaterthan", "gt", "in", "le", "lessthan", "lt", "ne", "sameas"]
SIGNS = ("==", "!=", "<", "<=", ">", ">=")
METHODS = {
    "count": ["v.count(a)", "v.count('a')"],
    "endswith": ["v.endswith(a)"],
    "find": ["v.find(a)", "v.find('a', a, a)"],
    "get": ["v.get(a)", "v.get('x', a)"],
    "index": ["v.index(a)"],
    "isoformat": ["v.isoformat()", "v.isoformat(a)"],
    "lstrip": ["v.lstrip()", "v.lstrip(a)"],
    "removeprefix": ["v.removeprefix(a)"],
    "removesuffix": ["v.removesuffix(a)"],
    "replace": ["v.replace(year=a)", "v.replace(a, a, a)", "v.replace(tzinfo=a)"],
    "rsplit": ["v.rsplit()", "v.rsplit(a)", "v.rsplit('a', a)"],
    "rstrip": ["v.rstrip()", "v.rstrip(a)"],
    "split": ["v.split()", "v.split(a)", "v.split('a')", "v.split('a', a)"],
    "splitlines": ["v.splitlines()", "v.splitlines(a)"],
    "startswith": ["v.startswith(a)"],
    "strftime": ["v.strftime(a)", "v.strftime('%1000000000Y')", "v.strftime('%Y' * 50)"],
    "strip": ["v.strip()", "v.strip(a)"],
}
CALLS = {
    **{name: [f"{name}(v)", f"{name}(a)", f"today - {name}(v)", f"now + {name}(a)"] for name in FUNCTIONS},
    "add_months": ["add_months(v, a)", "add_months(today, v)", "add_months(v, 1)", "add_months(v, -1)"],
}


def sources_of_everything() -> Iterator[tuple[str, list[str]]]:
    yield from ((source, [source]) for source in OPERATORS)
    yield from ((f"filter {name}", sources) for name, sources in FILTERS.items())
    for name in tests.TESTS:
        argument = f"({'a'})" if name in BINARY_TESTS else ""
        sources = [f"[v] | select('{name}', a)"] if name in SIGNS else [f"v is {name}{argument}", f"v is {name}(v)"]
        yield f"test {name}", sources
    for name in {name for methods in members.METHODS.values() for name in methods}:
        yield f"method {name}", METHODS.get(name, [f"v.{name}()", f"v.{name}(a)"])
    for name in {name for names in members.ATTRIBUTES.values() for name in names}:
        yield f"attribute {name}", [f"v.{name}"]
    yield from ((f"function {name}", sources) for name, sources in CALLS.items())


EVERYTHING = sorted(sources_of_everything())


def test_the_table_has_every_operation() -> None:
    assert set(FILTERS) == set(filters.FILTERS)
    assert set(CALLS) == set(FUNCTIONS)
    assert set(METHODS) <= {name for methods in members.METHODS.values() for name in methods}
    assert set(BINARY_TESTS) <= set(tests.TESTS)


@pytest.mark.slow
@pytest.mark.parametrize("sources", [sources for _, sources in EVERYTHING], ids=[name for name, _ in EVERYTHING])
def test_an_operation_is_bounded(sources: list[str]) -> None:
    now = datetime.datetime(2026, 3, 29, 12, tzinfo=datetime.UTC)
    for source, (kind, value), (other, argument) in itertools.product(sources, VALUES.items(), ARGUMENTS.items()):
        if other != "null" and ARGUMENT.search(source) is None:
            continue
        budget = Budget(15_000)
        began = time.process_time()
        try:
            found = value_within(budget, source, v=value, a=argument, now=now, today=now.date())
        except SourceError:
            raise
        except Exception:  # noqa: BLE001 - only the bounds are tested here
            found = None
        seconds = time.process_time() - began
        assert seconds < scaled(0.5), f"{source} took {seconds:.1f} s for {kind} and {other}"
        assert is_plain(found), f"{source} is not plain data for {kind} and {other}"


# Each is made by the test that uses it, and freed at its end.
LARGE_VALUES: dict[str, Callable[[], object]] = {
    "numbers": lambda: random_numbers(500_000),
    "prefixed": lambda: ["x" * 40 + str(number) for number in range(400_000)],
    "same": lambda: [number * (2**61 - 1) for number in range(500_000)],
    "mappings": lambda: [{"a": number, "b": str(number)} for number in range(200_000)],
    "pairs": lambda: [[number, str(number)] for number in range(400_000)],
    "letters": lambda: "a" * MAX_CHARACTERS,
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "source",
    [
        "numbers | sort | length",
        "prefixed | sort(reverse=true) | first",
        "prefixed | unique | length",
        "same | unique | length",
        "numbers | map('round', 2) | map('string') | join(',') | length",
        "mappings | sort(attribute='b,a') | length",
        "mappings | tojson | length",
        "mappings | map('tojson') | list | length",
        "pairs | sum(start=[]) | length",
        "mappings == mappings",
        "letters | title | length",
        "(letters | upper) == (letters | lower)",
        "([letters] * 1000) | length",
    ],
)
def test_an_expression_with_its_whole_budget_ends_soon(source: str) -> None:
    names = {name: make() for name, make in LARGE_VALUES.items() if name in source}
    began = time.process_time()
    with contextlib.suppress(OperationError):
        value_of(source, **names)
    assert time.process_time() - began < scaled(15)


def test_unused_operations_cost_nothing() -> None:
    budget = Budget()
    assert value_within(budget, "shared | length", shared=SHARED) == 10
    assert budget.items_left > 1_999_000
