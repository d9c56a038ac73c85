"""Whatever the check accepts, the schema accepts: random parsers, spellings and values."""

from __future__ import annotations

import argparse
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from django_runbook.binding.argv import UnboundCommand, bind_command
from django_runbook.binding.catalog import CommandSpec
from django_runbook.binding.checking_parser import CheckingParser
from django_runbook.document.diagnostics import Span, has_errors
from django_runbook.document.runbook import Located, Option
from tests.editor.support import accepts_options, command_of, schema_of
from tests.examples import examples

HERE = Span(1, 1, 1, 2)
DECLARATIONS = st.sampled_from(
    [
        {},
        {"type": int},
        {"type": float},
        {"type": str.lower, "choices": ["a", "b"]},
        {"choices": ["a", "1", "2.50"]},
        {"choices": [1, 2], "type": int},
        {"action": "store_true"},
        {"action": "store_false"},
        {"action": "store_const", "const": "a"},
        {"action": "store_const", "const": 1, "default": 2},
        {"action": "append_const", "const": "a"},
        {"action": "count"},
        {"action": "append"},
        {"action": "append", "nargs": 2},
        {"action": "extend", "nargs": "+"},
        {"action": argparse.BooleanOptionalAction},
        {"nargs": "?", "const": "c"},
        {"nargs": "*"},
        {"nargs": 2, "type": int},
    ]
)
NAMES = ["--a", "--b-b", "--c_c", "-d"]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 101),
    st.sampled_from([0.5, 2.5, "", "a", "A", "1", " 1", "-1", "1e3", "x"]),
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.lists(st.lists(SCALARS, max_size=2), max_size=2))
SPELLINGS = st.sampled_from(
    ["a", "--a", "b-b", "b_b", "--b_b", "c-c", "c_c", "d", "-d", "same", "verbosity", "no_color"]
)


def located(value: Any) -> Located:
    if isinstance(value, list):
        return Located(value=tuple(map(located, value)), span=HERE)
    return Located(value=value, span=HERE, text="" if value is None else str(value))


@pytest.mark.slow
@settings(max_examples=examples(300))
@given(
    declared=st.dictionaries(st.sampled_from(NAMES), st.tuples(DECLARATIONS, st.booleans()), min_size=1),
    options=st.dictionaries(SPELLINGS, VALUES, min_size=1, max_size=2),
)
def test_the_schema_accepts_what_the_check_accepts(declared: dict[str, Any], options: dict[str, Any]) -> None:
    def add(parser: argparse.ArgumentParser) -> None:
        for flag, (declaration, is_shared) in declared.items():
            parser.add_argument(flag, **{**declaration, **({"dest": "same"} if is_shared else {})})

    command = command_of(add)
    spec = CommandSpec(name="noop", app="tests", parser=CheckingParser(command.create_parser("manage.py", "noop")))
    written = tuple(Option(name=name, name_span=HERE, value=located(value)) for name, value in options.items())
    binding = bind_command(UnboundCommand(name="noop", name_span=HERE, options=written), spec)
    if not has_errors(binding.diagnostics):
        assert accepts_options(schema_of(noop=command), "noop", options)


def test_the_schema_refuses_most_of_what_the_check_refuses() -> None:
    """It is not the schema that accepts everything."""
    schema = schema_of(noop=command_of(lambda parser: parser.add_argument("--a", type=int)))
    assert not accepts_options(schema, "noop", {"a": "x"})
