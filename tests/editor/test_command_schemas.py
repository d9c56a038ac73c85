from __future__ import annotations

import argparse
from collections.abc import Iterator
from typing import Any

import pytest
from django.core.management.base import BaseCommand
from django.db import OperationalError
from jsonschema import Draft7Validator

from django_runbook.binding.catalog import Catalog
from django_runbook.editor.command_schemas import describe_commands
from django_runbook.editor.option_values import frequent_values
from django_runbook.editor.project_schema import project_schema
from django_runbook.editor.value_schemas import VALUE_DEFINITIONS
from tests.editor.support import FixedCatalog, accepts_options, command_of, is_accepted, schema_of


def size(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", type=int)


def sub_commands(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="what")
    size(commands.add_parser("one"))
    commands.add_parser("two")


def files(parser: argparse.ArgumentParser) -> None:
    parser.fromfile_prefix_chars = "@"
    parser.add_argument("rest", nargs="*")
    size(parser)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("say", True),
        ("say hello ${{ params.n }}", True),
        ("  say", True),
        ('"say" hello', True),
        ("saying", False),
        ("${{ params.n }}", False),
        ("", False),
    ],
)
def test_a_command_line_begins_with_a_command_of_the_project(line: str, *, expected: bool) -> None:
    schema = schema_of(say=command_of(lambda parser: None))
    assert Draft7Validator(schema).is_valid({"steps": [line]}) is expected
    assert Draft7Validator(schema).is_valid({"steps": [{"command": line}]}) is expected


@pytest.mark.parametrize("line", ["noop", "noop --verbosity 2", "noop --verbosity=${{ params.n }}"])
def test_options_are_those_of_the_command(line: str) -> None:
    schema = schema_of(noop=command_of(size), other=command_of(lambda parser: None))
    assert accepts_options(schema, line, {"size": 1})
    assert not accepts_options(schema, line, {"size": "x"})
    assert not accepts_options(schema, line, {"unknown": 1})
    assert not accepts_options(schema, "other", {"size": 1})


@pytest.mark.parametrize(
    ("add", "line", "args"),
    [
        pytest.param(size, "noop --${{ params.name }}", [], id="the name of an option"),
        pytest.param(sub_commands, "noop ${{ params.name }}", [], id="a sub-command"),
        pytest.param(sub_commands, "noop", ["${{ params.name }}"], id="a sub-command in args"),
        pytest.param(files, "noop @more.txt", [], id="a file of arguments"),
        pytest.param(files, "noop", ["@more.txt"], id="a file of arguments in args"),
    ],
)
def test_options_that_cannot_be_checked_before_the_run_are_accepted(add: Any, line: str, args: list[str]) -> None:
    schema = schema_of(noop=command_of(add))
    assert accepts_options(schema, line, {"unknown": 1}, args=args)
    assert not accepts_options(schema, "noop", {"unknown": 1}, args=["one"])


def test_a_command_that_parses_its_own_command_line_takes_any_option() -> None:
    [described] = [one for one in describe_commands(Catalog(), databases=()) if one.name == "parse_own_argv"]
    assert described.options is not None
    schema = {**described.options, "definitions": {**VALUE_DEFINITIONS, **frequent_values()}}
    schema["definitions"][f"options.{described.name}"] = described.options
    assert Draft7Validator(schema).is_valid({"verbosity": "any", "unknown": True})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("parse_import_error", "it cannot be loaded: "),
        ("parse_no_parser", "its options are unknown: "),
    ],
)
def test_a_command_without_a_parser_has_a_reason_and_takes_any_option(name: str, text: str) -> None:
    [described] = [one for one in describe_commands(Catalog(), databases=()) if one.name == name]
    assert text in described.text
    assert described.options is None


class NoChoices(list[str]):
    """Cannot be read outside of a test of the parser."""

    is_broken = False

    def __iter__(self) -> Iterator[str]:
        if self.is_broken:
            raise OperationalError("no such table")
        return iter(["a"])


class NoText:
    """Cannot be shown, like a translation with an error in it."""

    def __str__(self) -> str:
        raise RuntimeError("no text")

    __mod__ = __str__


def test_an_option_whose_choices_or_help_raise_an_error_does_not_hide_the_others() -> None:
    choices = NoChoices()

    def add(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--kind", choices=choices)
        parser.add_argument("--silent", help=NoText())  # type: ignore[arg-type]  # a help that is not a string, as some commands have
        size(parser)

    catalog = FixedCatalog({"noop": command_of(add)})
    spec = catalog.get("noop")
    catalog.get = lambda name: spec  # type: ignore[method-assign]  # the parser was built before the table is gone
    choices.is_broken = True
    schema = project_schema(catalog, databases=())
    assert [accepts_options(schema, "noop", {"kind": "any", "silent": "any", "size": value}) for value in (1, "x")] == [
        True,
        False,
    ]


def test_a_command_whose_description_raises_an_error_has_options() -> None:
    command = command_of(size)
    catalog = FixedCatalog({"noop": command})
    spec = catalog.get("noop")
    assert spec.parser is not None
    spec.parser.root.description = NoText()  # type: ignore[assignment]  # the same
    catalog.get = lambda name: spec  # type: ignore[method-assign]  # a catalog of one command
    [described] = describe_commands(catalog, databases=())
    assert described.options is not None
    assert described.text.startswith("**noop** (tests)")


def test_a_command_is_described_by_its_help_and_its_usage() -> None:
    def add(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE")
        parser.add_argument("--day", required=True)

    [line, _] = schema_of(noop=command_of(add, help="Does\n  nothing."))["definitions"]["line"]["anyOf"]
    assert line["markdownEnumDescriptions"] == ["**noop** (tests)\n\nDoes nothing.\n\n`noop FILE --day … [options]`"]


def test_the_options_of_every_command_are_written_once() -> None:
    class Loud(BaseCommand):
        def add_arguments(self, parser: argparse.ArgumentParser) -> None:
            parser.set_defaults(verbosity=3)

    definitions = schema_of(noop=command_of(size), loud=Loud())["definitions"]
    shared = {"$ref": "#/definitions/shared.no-color"}
    assert definitions["options.noop"]["properties"]["no-color"] == shared
    assert definitions["options.loud"]["properties"]["verbosity"]["default"] == 3


def test_a_name_with_special_characters_is_quoted() -> None:
    schema = schema_of(**{"a.b/c~d": command_of(size)})
    assert accepts_options(schema, "a.b/c~d", {"size": 1})
    assert not accepts_options(schema, "a.b/c~d", {"size": "x"})
    assert not is_accepted(schema, "steps: [axb/c~d]\n")
