"""Tests that a parser from the source is the one that ``create_parser`` builds, and that it shares nothing."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand, CommandParser

from django_runbook import argparse_compat
from django_runbook.binding.parsers import ParserSource, new_parser
from tests.test_argparse_compat import described

# The modules of all other commands can be imported.
COMMANDS = sorted(set(get_commands()) - {"parse_import_error"})


def second_parser(command: BaseCommand) -> CommandParser:
    """Return a parser that is a copy for sure."""
    source = ParserSource()
    source.new_parser(command, "it")
    return source.new_parser(command, "it")


def outcome(make: Callable[[], CommandParser]) -> Any:
    try:
        return described(make())
    except Exception as error:  # noqa: BLE001 - some commands cannot build their parser here
        return type(error), str(error)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_parser_of_each_command_is_the_one_that_django_builds(name: str) -> None:
    app = get_commands()[name]
    command = app if isinstance(app, BaseCommand) else load_command_class(app, name)
    if isinstance(command, BaseCommand):
        assert outcome(lambda: second_parser(command)) == outcome(lambda: new_parser(command, "it"))


class Counting(BaseCommand):
    numbers = itertools.count()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tag", action="append", default=[])
        parser.add_argument("--number", default=next(self.numbers))


def test_a_default_that_a_command_changes_is_new_for_each_call() -> None:
    source, command = ParserSource(), Counting()
    found = []
    for _ in range(3):
        options = source.new_parser(command, "it").parse_args(["--tag", "x"])
        found.append((options.tag, options.number))
        options.tag.append("y")
    assert found == [(["x", "y"], 0), (["x", "y"], 1), (["x", "y"], 2)]


class Changing(BaseCommand):
    def add_arguments(self, parser: CommandParser) -> None:
        parser.set_defaults(verbosity=parser.get_default("verbosity") + 1, more=1)
        for action in argparse_compat.actions_of(parser):
            action.choices = [*(action.choices or ()), 7]
        parser.register("type", "own", int)
        parser.add_argument_group("own").add_argument("--own", type="own")
        parser.add_mutually_exclusive_group().add_argument("--alone")


def test_what_a_command_does_to_its_parser_does_not_reach_the_next_one() -> None:
    source, command = ParserSource(), Changing()
    first = described(source.new_parser(command, "it"))
    assert first == described(source.new_parser(command, "it"))
    assert first == described(new_parser(command, "it"))


@pytest.mark.parametrize("method", ["create_parser", "add_base_argument"])
@pytest.mark.parametrize("is_on_instance", [True, False], ids=["instance", "class"])
def test_a_command_with_its_own_way_to_build_a_parser_is_asked_each_time(method: str, *, is_on_instance: bool) -> None:
    calls = []

    def own(self: BaseCommand, *args: Any, **options: Any) -> Any:
        calls.append(args)
        return getattr(BaseCommand, method)(self, *args, **options)

    kind = type("Command", (BaseCommand,), {} if is_on_instance else {method: own})
    command = kind()
    if is_on_instance:
        setattr(command, method, own.__get__(command))
    source = ParserSource()
    source.new_parser(command, "it")
    once = len(calls)
    source.new_parser(command, "it")
    assert len(calls) == 2 * once > 0


@pytest.mark.parametrize(
    "change",
    [
        {"help": "another help"},
        {"missing_args_message": "give something"},
        {"requires_system_checks": []},
        {"suppressed_base_arguments": {"--traceback"}},
        {"get_version": lambda: "2"},
        {"add_arguments": lambda parser: parser.add_argument("--late")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_parser_follows_the_command_when_it_changes(change: dict[str, Any]) -> None:
    source, command = ParserSource(), BaseCommand()
    before = described(source.new_parser(command, "it"))
    vars(command).update(change)
    after = described(source.new_parser(command, "it"))
    assert after != before
    assert after == described(new_parser(command, "it"))
    assert {name: getattr(command, name) for name in change} == change
