from __future__ import annotations

import argparse
from typing import Any

import pytest

from tests.editor.support import accepts_options, command_of, schema_of


def properties_of(schema: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = schema["definitions"]["options.noop"]["properties"]
    return found


@pytest.mark.parametrize("name", ["batch-size", "batch_size", "--batch-size", "--batch_size", "chunk", "-b", "b"])
def test_each_spelling_of_an_option_is_accepted(name: str) -> None:
    schema = schema_of(
        noop=command_of(lambda parser: parser.add_argument("-b", "--batch-size", dest="chunk", type=int))
    )
    assert accepts_options(schema, "noop", {name: 5})
    assert not accepts_options(schema, "noop", {name: "many"})


@pytest.mark.parametrize("name", ["batch", "batch.size", "help", "settings", "version", "place"])
def test_other_names_are_refused(name: str) -> None:
    def add(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("place")
        parser.add_argument("--batch-size")

    assert not accepts_options(schema_of(noop=command_of(add)), "noop", {name: "5"})


def test_the_long_flag_is_offered_with_its_help_and_its_default() -> None:
    schema = schema_of(
        noop=command_of(
            lambda parser: parser.add_argument("-n", "--number", type=int, default=3, help="At most %(default)s.")
        )
    )
    assert properties_of(schema)["number"]["description"] == "At most 3."
    assert properties_of(schema)["number"]["default"] == 3
    assert "n" not in properties_of(schema)


def test_a_hidden_option_is_accepted_but_not_offered() -> None:
    schema = schema_of(noop=command_of(lambda parser: parser.add_argument("--secretly", help=argparse.SUPPRESS)))
    assert "secretly" not in properties_of(schema)
    assert accepts_options(schema, "noop", {"secretly": "x"})
    assert not accepts_options(schema, "noop", {"secretly": True})


def test_options_with_a_common_name_accept_the_values_of_both() -> None:
    def add(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--fast", dest="mode", action="store_const", const="fast")
        parser.add_argument("--mode-name", dest="mode")

    schema = schema_of(noop=command_of(add))
    for value in ("slow", True, "fast"):
        assert accepts_options(schema, "noop", {"mode": value})
    assert {"fast", "mode-name"} <= set(properties_of(schema))


def test_options_of_sub_commands_are_those_of_the_command() -> None:
    def add(parser: argparse.ArgumentParser) -> None:
        commands = parser.add_subparsers()
        commands.add_parser("one").add_argument("--size", type=int)
        commands.add_parser("two").add_argument("--size", choices=["small"])

    schema = schema_of(noop=command_of(add))
    assert accepts_options(schema, "noop one", {"size": 3})
    assert accepts_options(schema, "noop two", {"size": "small"})
    assert not accepts_options(schema, "noop two", {"size": "large"})


def test_other_prefixes_of_options_are_accepted() -> None:
    def add(parser: argparse.ArgumentParser) -> None:
        parser.prefix_chars = "-+"
        parser.add_argument("++size", type=int)

    schema = schema_of(noop=command_of(add))
    assert accepts_options(schema, "noop", {"++size": 3})
    assert not accepts_options(schema, "noop", {"size": "many"})
