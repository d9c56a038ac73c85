"""Whatever the check accepts, the schema accepts: random parsers, spellings and values."""

from __future__ import annotations

import argparse
import enum
from typing import Any

import pytest
from django.db import connections
from hypothesis import given, settings
from hypothesis import strategies as st

from django_runbook.binding.argv import UnboundCommand, Word, bind_command
from django_runbook.binding.catalog import CommandSpec
from django_runbook.binding.checking_parser import CheckingParser
from django_runbook.document.diagnostics import Span, has_errors
from django_runbook.document.runbook import Located, Option
from tests.editor.support import accepts_options, command_of, schema_of
from tests.editor.test_option_values import AnyCase
from tests.examples import examples

HERE = Span(1, 1, 1, 2)


class Letter(enum.StrEnum):
    A = "a"


class Switch(argparse.Action):
    def __init__(self, **declared: Any) -> None:
        super().__init__(nargs=0, **declared)

    def __call__(self, parser: Any, namespace: Any, values: Any, flag: str | None = None) -> None:
        setattr(namespace, self.dest, True)


class Repeated(argparse.Action):
    def __call__(self, parser: Any, namespace: Any, values: Any, flag: str | None = None) -> None:
        setattr(namespace, self.dest, values)


DECLARATIONS = st.sampled_from(
    [
        {},
        {"type": int},
        {"type": float},
        {"type": str.lower, "choices": ["a", "b"]},
        {"choices": ["a", "1", "2.50"]},
        {"choices": [1, 2], "type": int},
        {"choices": range(200, 203), "type": int},
        {"choices": [True, False], "type": int},
        {"choices": AnyCase("ab")},
        {"choices": Letter},
        {"choices": list(Letter), "type": Letter},
        {"choices": ["a", "1"], "nargs": "?", "const": "a"},
        {"choices": {"a", "b"}, "action": "append", "nargs": "+"},
        {"choices": (letter for letter in "ab")},
        {"dest": "database", "default": "default"},
        {"dest": "database", "default": "default", "nargs": "?", "const": "default"},
        {"type": lambda text: text.split(",")},
        {"action": Switch},
        {"action": Repeated, "type": int},
        {"nargs": argparse.REMAINDER},
        {"action": "store_const", "const": "a", "default": argparse.SUPPRESS},
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
        {"nargs": "?", "const": 1, "type": int, "action": "append"},
        {"nargs": "*"},
        {"nargs": 2, "type": int},
    ]
)
NAMES = ["--a", "--b-b", "--c_c", "-d"]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 101),
    st.sampled_from([0.5, 2.5, "", "a", "A", "1", " 1", "-1", "1e3", "x", "default", "slow", 201]),
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.lists(st.lists(SCALARS, max_size=2), max_size=2))
SPELLINGS = st.sampled_from(
    ["a", "--a", "b-b", "b_b", "--b_b", "c-c", "c_c", "d", "-d", "same", "database", "verbosity", "no_color"]
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
    shape=st.sampled_from(["plain", "sub-command", "positional", "defaults"]),
)
def test_the_schema_accepts_what_the_check_accepts(
    declared: dict[str, Any], options: dict[str, Any], shape: str
) -> None:
    def add(parser: argparse.ArgumentParser) -> None:
        if shape == "defaults":
            parser.set_defaults(same="slow")
        elif shape == "positional":
            parser.add_argument("same", nargs="?", default="slow")
        elif shape == "sub-command":
            commands = parser.add_subparsers()
            commands.add_parser("other").add_argument("--a", type=int)
            parser = commands.add_parser("one")
        for flag, (declaration, is_shared) in declared.items():
            parser.add_argument(flag, **{**declaration, **({"dest": "same"} if is_shared else {})})

    command = command_of(add)
    spec = CommandSpec(name="noop", app="tests", parser=CheckingParser(command.create_parser("manage.py", "noop")))
    written = tuple(Option(name=name, name_span=HERE, value=located(value)) for name, value in options.items())
    words = ("one",) if shape == "sub-command" else ()
    unbound = UnboundCommand(
        name="noop", name_span=HERE, options=written, words=tuple(Word(text=word, span=HERE) for word in words)
    )
    binding = bind_command(unbound, spec, databases=tuple(connections))
    if not has_errors(binding.diagnostics):
        assert accepts_options(schema_of(noop=command), " ".join(("noop", *words)), options)


def test_the_schema_refuses_most_of_what_the_check_refuses() -> None:
    """It is not the schema that accepts everything."""
    schema = schema_of(noop=command_of(lambda parser: parser.add_argument("--a", type=int)))
    assert not accepts_options(schema, "noop", {"a": "x"})
