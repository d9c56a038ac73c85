from __future__ import annotations

import argparse
import datetime
import enum
from typing import Any

import pytest
from django.db import models

from django_runbook.editor.option_values import frequent_values
from tests.editor.support import accepts_options, command_of, schema_of


class Color(enum.StrEnum):
    RED = "red"


class Label(models.TextChoices):
    RED = "red"


class AnyCase(list[str]):
    def __contains__(self, value: object) -> bool:
        return super().__contains__(str(value).lower())


class Folded(str):
    __slots__ = ()
    __hash__ = str.__hash__

    def __eq__(self, other: object) -> bool:
        return str.__eq__(self.lower(), str(other).lower())


def lower(text: str) -> str:
    return text.lower()


def accepted(declaration: dict[str, Any], *values: Any, name: str = "--it") -> list[bool]:
    schema = schema_of(noop=command_of(lambda parser: parser.add_argument(name, **declaration)))
    return [accepts_options(schema, "noop", {"it": value}) for value in values]


@pytest.mark.parametrize(
    ("declaration", "good", "bad"),
    [
        pytest.param({"action": "store_true"}, [True, False, None, "${{ params.n }}"], ["yes", 1, [True]], id="flag"),
        pytest.param({"action": argparse.BooleanOptionalAction}, [True, False, None], ["no", 0], id="two-sided flag"),
        pytest.param({"action": "count"}, [0, 100, True, None, "${{ 1 }}"], [101, -1, "3"], id="counter"),
        pytest.param({"action": "store_const", "const": "fast"}, [True, "fast", None], ["slow", 2], id="constant"),
        pytest.param({"action": "store_const", "const": (1, 2)}, [True, "anything"], [], id="constant of Python"),
        pytest.param({}, ["a", 1, 1.5, None, ["a"]], [True, {}, ["a", "b"], [None]], id="one value"),
        pytest.param(
            {"type": int}, [1, "1", " 1_000 ", "٣", "${{ 1 }}", ["2"]], ["many", "1.5", 1.5, True], id="integer"
        ),
        pytest.param({"type": float}, [1, 1.5, "1e3", "inf", "-NaN", "${{ 1 }}"], ["many", True], id="number"),
        pytest.param({"type": lower, "choices": ["a", "b"]}, ["a", "B", 1], [True], id="choices of a function"),
        pytest.param(
            {"choices": ["a", "1", ".5"]}, ["a", "1", 1, 0.5, None, "${{ 1 }}", ["a"]], ["b", 2, True], id="choices"
        ),
        pytest.param(
            {"choices": [1, 2], "type": int}, [1, "2", " 1", "${{ 1 }}", [1]], [3, "x", [3]], id="choices of integers"
        ),
        pytest.param({"choices": list(Color)}, ["red"], ["blue"], id="choices of an enumeration"),
        pytest.param({"choices": Color}, ["red"], ["blue"], id="an enumeration"),
        pytest.param({"choices": Label}, ["red"], ["blue"], id="an enumeration of Django"),
        pytest.param({"choices": {"a": 1}.keys()}, ["a"], ["b"], id="choices of keys"),
        pytest.param({"choices": {"a": "b"}.values()}, ["b"], ["a"], id="choices of values"),
        pytest.param({"choices": AnyCase("ab")}, ["a", "A", ["B"]], [True], id="choices with a rule of their own"),
        pytest.param({"choices": [Folded("a")]}, ["a", "A"], [True], id="choices that compare in their own way"),
        pytest.param({"choices": [True, False], "type": int}, [1, "0"], ["x"], id="choices of booleans"),
        pytest.param(
            {"choices": ["a"], "nargs": "?", "const": "a"},
            [True, "a", None, [True]],
            ["b", 1, ["b"]],
            id="optional choice",
        ),
        pytest.param(
            {"dest": "database", "default": "default", "nargs": "?"},
            [True, "replica"],
            ["nowhere"],
            id="optional database",
        ),
        pytest.param({"choices": {"b", "a"}}, ["a", "b"], ["c"], id="choices of a set"),
        pytest.param({"choices": range(1000), "type": int}, [1, 999], ["x"], id="too many choices"),
        pytest.param({"choices": [datetime.date(2013, 1, 1)]}, ["anything", 1], [True], id="choices of Python"),
        pytest.param({"nargs": "?"}, [True, False, "a", 1, None], [{}], id="optional value"),
        pytest.param({"nargs": "*"}, ["a", [], ["a", 1]], [True, [True], {}], id="values"),
        pytest.param({"nargs": 2, "type": int}, [[1, 2], ["1", 2]], [["a", "b"]], id="two integers"),
        pytest.param({"action": "append"}, ["a", ["a", "b"]], [[True], True], id="repeated value"),
        pytest.param(
            {"action": "append", "nargs": 2}, [["a", "b"], [["a", "b"], ["c", 1]], [[]]], [[{}]], id="repeated values"
        ),
        pytest.param({"dest": "database", "default": "default"}, ["replica", "${{ 1 }}"], ["nowhere"], id="database"),
        pytest.param({"dest": "database"}, ["nowhere"], [], id="a database of its own"),
    ],
)
def test_an_option_accepts_its_values(declaration: dict[str, Any], good: list[Any], bad: list[Any]) -> None:
    assert accepted(declaration, *good, *bad) == [True] * len(good) + [False] * len(bad)


def test_a_flag_accepts_the_default_of_its_dest() -> None:
    """Under the name of the dest, the default needs no flag; it can come from elsewhere than the flag."""

    def positional(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("mode", nargs="?", default="slow")
        parser.add_argument("--fast", dest="mode", action="store_const", const="fast")

    def of_parser(parser: argparse.ArgumentParser) -> None:
        parser.set_defaults(mode="slow")
        parser.add_argument("--fast", dest="mode", action="store_const", const="fast", default=argparse.SUPPRESS)

    for add in (positional, of_parser):
        schema = schema_of(noop=command_of(add))
        found = [accepts_options(schema, "noop", {"mode": value}) for value in ("fast", "slow", "other")]
        assert found == [True, True, False]


def test_a_generator_of_choices_is_left_to_the_parser() -> None:
    assert accepted({"choices": iter(["a"])}, "b") == [True]


def test_frequent_values_are_written_once() -> None:
    schema = schema_of(noop=command_of(lambda parser: parser.add_argument("--it")))
    assert schema["definitions"]["options.noop"]["properties"]["it"] == {"$ref": "#/definitions/value.text"}
    assert set(frequent_values()) <= set(schema["definitions"])
