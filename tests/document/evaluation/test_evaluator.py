"""Compares the values of expressions with those of Jinja2, and lists the differences."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import pytest
from jinja2 import StrictUndefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from tests.document.evaluation.support import reason_of, value_of

NAMES: dict[str, Any] = {
    "n": 7,
    "f": 2.675,
    "t": "Hello big World, it's me",
    "empty": "",
    "items": [3, 1, 2, 1],
    "words": ["b", "A", "c", "a"],
    "rows": [
        {"name": "EWR", "late": 4, "at": {"gate": "B"}},
        {"name": "jfk", "late": 9, "at": {"gate": "A"}},
        {"name": "LGA", "late": 4, "at": {"gate": "C"}},
    ],
    "pairs": {"b": 1, "A": 3, "c": 2},
    "day": datetime.date(2013, 1, 31),
    "now": datetime.datetime(2013, 1, 31, 6, 30, tzinfo=datetime.UTC),
    "nothing": None,
    "yes": True,
}
SOURCES = [
    "n + 1", "n - 10", "n * 2", "n / 2", "n // 2", "n % 4", "n ** 2", "-n", "+n", "n ** -1", "2 ** 3 ** 2",
    "n == 7", "n != 7", "n < 8 < 9", "n < 8 > 9", "n in items", "1 in items", "'big' in t", "'b' in pairs", "n not in items",
    "not n", "n and f", "n or f", "nothing or 'x'", "empty and 1", "'a' if n > 5 else 'b'", "t ~ n ~ f", "'x' ~ day",
    "items[0]", "items[-1]", "items[1:3]", "items[::-1]", "t[:5]", "t[-2:]", "pairs['b']", "pairs.b", "rows[0].at.gate",
    "[n, [f]]", "{'a': n, 1: f}", "(n, f)", "items + [4]", "items * 2", "'ab' * 3", "3 * 'ab'", "t + '!'", "items == [3, 1, 2, 1]",
    "-3 | abs", "t | capitalize", "items | count", "x | default(5)", "empty | default('e', true)", "empty | d('e')",
    "pairs | dictsort", "pairs | dictsort(true)", "pairs | dictsort(by='value', reverse=true)", "items | first", "t | first",
    "'2.5' | float", "'x' | float(1.5)", "n | float", "'42' | int", "'42.9' | int", "'x' | int", "'x' | int(5)", "'ff' | int(0, 16)",
    "'0xff' | int(0, 16)", "f | int", "yes | int", "pairs | items | list", "items | join", "items | join('-')",
    "rows | join(', ', attribute='name')", "items | last", "t | last", "t | length", "pairs | length", "t | list | length",
    "pairs | list", "t | lower", "words | map('upper') | list", "rows | map(attribute='at.gate') | list",
    "rows | map(attribute='no', default='?') | list", "items | map('round', 1) | list", "words | max", "items | max", "items | min",
    "words | min(case_sensitive=true)", "(rows | max(attribute='late')).name", "items | select | list", "items | select('odd') | list",
    "items | reject('odd') | list", "items | select('gt', 1) | list", "items | select('>=', 2) | list", "items | reject('in', [1]) | list",
    "rows | selectattr('late', 'eq', 4) | map(attribute='name') | list", "rows | rejectattr('late', 'eq', 4) | list | length",
    "rows | selectattr('late') | list | length", "t | replace('l', 'L')", "t | replace('l', 'L', 1)", "'aaa' | replace('', '-')",
    "items | reverse | list", "t | reverse", "f | round", "f | round(2)", "f | round(1, 'floor')", "f | round(1, 'ceil')", "n | round",
    "1234 | round(-2)", "items | sort", "words | sort", "words | sort(case_sensitive=true)", "items | sort(reverse=true)",
    "(rows | sort(attribute='name'))[0].name", "(rows | sort(attribute='late,name')) | map(attribute='name') | list",
    "(rows | sort(attribute='late', reverse=true)) | map(attribute='name') | list", "n | string", "t | string", "items | sum",
    "rows | sum(attribute='late')", "items | sum(start=10)", "[[1], [2]] | sum(start=[])", "t | title", "'foo-bar {x (y' | title",
    "'  x ' | trim", "'xxaxx' | trim('x')", "items | unique | list", "words | unique | list", "words | unique(true) | list",
    "rows | unique(attribute='late') | map(attribute='name') | list", "t | upper", "[1, 1.0, true] | unique | list",
    "x is defined", "n is defined", "x is undefined", "n is divisibleby 7", "n is divisibleby(2)", "n is even", "n is odd", "n is eq 7",
    "n is ne(7)", "n is gt 5", "n is le 5", "n is in items", "n is integer", "f is integer", "f is float", "yes is integer",
    "yes is boolean", "yes is true", "n is true", "nothing is none", "n is none", "n is number", "yes is number", "t is string",
    "items is sequence", "t is sequence", "pairs is mapping", "items is iterable", "n is iterable", "'abc' is lower", "'ABC' is upper",
    "nothing is sameas nothing", "n is not odd", "2.5 is odd", "3.0 is odd", "not n is odd",
    "t.upper()", "t.split()", "t.split(' ', 1)", "t.rsplit(' ', 1)", "t.startswith('Hello')", "t.endswith(('me', 'x'))", "t.find('big')",
    "t.count('l')", "'a\\nb\\r\\nc'.splitlines()", "' x '.strip()", "'xay'.strip('xy')", "'xay'.lstrip('x')", "'xay'.rstrip('y')",
    "t.removeprefix('Hello ')", "t.removesuffix('me')", "t.title()", "t.capitalize()", "t.isalpha()", "'12'.isdigit()", "t.lower()",
    "day.year", "day.month", "day.day", "day.isoformat()", "day.weekday()", "day.isoweekday()", "day.strftime('%d.%m.%Y')",
    "day.replace(day=1)", "now.hour", "now.minute", "now.date()", "now.time()", "now.timestamp()", "now.isoformat(timespec='minutes')",
    "pairs.get('b')", "pairs.get('x')", "pairs.get('x', 3)", "pairs.keys() | list", "pairs.values() | list", "items.count(1)",
    "items.index(2)", "'a' 'b'", "1_000", "0x10", "1.5e3", "n.real is defined", "rows.0.name", "none", "True",
]  # fmt: skip


class Jinja(ImmutableSandboxedEnvironment):
    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        return True


def plain(value: object) -> object:
    """Convert tuples to lists for a comparison."""
    if isinstance(value, Iterator):
        value = list(value)
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value


@pytest.mark.parametrize("source", SOURCES)
def test_a_value_is_that_of_jinja(source: str) -> None:
    environment = Jinja(undefined=StrictUndefined)
    expected = environment.compile_expression(source, undefined_to_none=False)(**NAMES)
    if source == "n.real is defined":
        expected = False
    assert plain(value_of(source, **NAMES)) == plain(expected)


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("yes ~ '!'", "true!"),
        ("[yes, day] | join(' ')", "true 2013-01-31"),
        ("yes | string", "true"),
        ("[1, 'a', none] | string", '[1, "a", null]'),
        ("none | string", "null"),
        ("rows | tojson | length > 10", True),
        ("[day, now.time()] | tojson", '["2013-01-31", "06:30:00"]'),
        ("(1, 2) + [3]", [1, 2, 3]),
        ("'ß' | tojson", '"ß"'),
    ],
)
def test_values_that_differ_from_jinja(source: str, value: object) -> None:
    assert value_of(source, **NAMES) == value


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("nothing ~ 'x'", "null cannot be part of a string"),
        ("[nothing] | join", "null cannot be part of a string"),
        ("pairs | upper", "a mapping cannot be part of a string"),
        ("x", '"x" is not defined'),
        ("[x]", '"x" is not defined'),
        ("{'a': [x]}", '"x" is not defined'),
        ("[x] | length", ""),
        ("rows | map(attribute='gate') | list", 'the key "gate" is missing'),
        ("rows | map(attribute='at.dorr') | join", 'the key "dorr" is missing'),
        ("rows | selectattr('no') | list", 'the key "no" is missing'),
        ("x is none", '"x" is not defined'),
        ("not x", '"x" is not defined'),
        ("x == 1", '"x" is not defined'),
        ("'a' if x else 'b'", '"x" is not defined'),
        ("'a' if empty", 'the condition is false, and "else" is missing'),
        ("[] | first", "it is empty"),
        ("[] | max", "it is empty"),
        ("items[9]", "index 9 is out of range: the length is 4"),
        ("items['a']", 'a list has no "a"'),
        ("items[1.5]", "an index must be an integer, not a number"),
        ("t.upper", '"upper" is a method: write upper()'),
        ("n.upper()", 'a number has no method "upper"'),
        ("1 + 'a'", '"+" cannot be applied to a number and a string'),
        ("nothing > 5", '">" cannot be applied to null and a number'),
        ("[1, 'a'] | sort", "a number and a string have no order"),
        ("[1, none] | max", "a number and null have no order"),
        ("'%d' % 5", 'join strings with "~": formatting with "%" is not supported'),
        ("'%d' is odd", "only numbers are divisible, not a string"),
        ("(-8) ** 0.5", "a root of a negative number has no value"),
        ("1e308 ** 2", "the number is too large"),
        ("1 % 0", "division by zero"),
        ("n.tzinfo", 'a number has no "tzinfo"'),
        ("now.tzinfo", "a time zone (tzinfo) is not plain data"),
        ("[now.tzinfo]", "a time zone (tzinfo) is not plain data"),
        ("day == now.tzinfo and [now.tzinfo]", None),
    ],
)
def test_the_error_gives_the_reason(source: str, reason: str | None) -> None:
    if reason in {"", None}:
        assert value_of(source, **NAMES) in {1, False}
    else:
        assert str(reason) in reason_of(source, **NAMES)


class Lazy(str):
    """Makes its string when it is used, as Django's lazy translations do."""

    __slots__ = ()

    def __str__(self) -> str:
        return self


@pytest.mark.parametrize(
    "value", [iter([1]), (one for one in [1]), map(str, [1]), object(), {1, 2}, b"x", lambda: 1, range(3), Ellipsis]
)
def test_only_plain_data_is_returned(value: object) -> None:
    assert "is not plain data" in reason_of("[v]", v=value)


def test_subclasses_are_converted_to_their_plain_types() -> None:
    value = value_of("{'a': [text, number]}", text=Lazy("x"), number=type("Code", (int,), {})(5))
    assert value == {"a": ["x", 5]}
    assert isinstance(value, dict)
    assert [type(one) for one in value["a"]] == [str, int]


def test_plain_data_is_not_copied() -> None:
    data = [{"a": [1, 2.5, None, "x"]}]
    assert value_of("data", data=data) is data


def test_a_mapping_has_its_keys_before_its_methods() -> None:
    assert value_of("data.items", data={"items": 1}) == 1
    assert value_of("data.items()", data={"items": 1}) == [("items", 1)]
