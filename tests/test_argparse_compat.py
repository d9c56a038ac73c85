"""Checks the private API of argparse on this Python: `argparse_compat` must be adapted where one of these fails."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any, Final

import pytest

from django_runbook import argparse_compat

VERSION: Final = f"Python {sys.version_info.major}.{sys.version_info.minor}"
ACTIONS: Final = {
    "append": argparse_compat.AppendAction,
    "count": argparse_compat.CountAction,
    "extend": argparse_compat.ExtendAction,
    "help": argparse_compat.HelpAction,
    "store": argparse_compat.StoreAction,
    "store_true": argparse_compat.StoreConstAction,
    "version": argparse_compat.VersionAction,
}
# Each method that `CheckingParser` replaces, with how often the parse in the test calls it at least.
METHODS: Final = {
    "read_args_from_files": 1,
    "get_option_tuples": 1,
    "get_values": 3,
    "get_value": 2,
    "check_value": 1,
    "parse_known_args": 1,
    "match_argument": 1,
}


def new_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="test", fromfile_prefix_chars="@")
    parser.add_argument("--mode", choices=["full", "delta"])
    parser.add_argument("--limit", type=int)
    parser.add_argument("file")
    parser.set_defaults(handler="none")
    return parser


@pytest.mark.parametrize("name", ACTIONS)
def test_actions_have_their_classes(name: str) -> None:
    action = argparse.ArgumentParser(add_help=False).add_argument("--option", action=name)
    assert isinstance(action, ACTIONS[name]), f"{VERSION} has another class for action={name!r}"


def test_sub_parsers_are_found_by_their_names() -> None:
    action = argparse.ArgumentParser().add_subparsers()
    inner = action.add_parser("import")
    assert isinstance(action, argparse_compat.SubParsersAction)
    assert argparse_compat.sub_parsers(action) == {"import": inner}
    assert argparse_compat.sub_parsers(new_parser().add_argument("--other")) == {}


@pytest.mark.parametrize("method", METHODS)
def test_argparse_calls_the_methods_that_are_replaced(method: str) -> None:
    parser, calls = new_parser(), []

    def replacement(original: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        calls.append(args)
        return original(*args, **kwargs)

    assert hasattr(parser, f"_{method}"), f"{VERSION} has no ArgumentParser._{method}"
    argparse_compat.override(parser, **{method: replacement})
    parser.parse_args(["--mode", "full", "--lim", "3", "data.csv"])
    assert len(calls) >= METHODS[method], f"{VERSION} does not call ArgumentParser._{method} as before"


def test_the_option_tuples_of_an_abbreviation_begin_with_its_action_and_its_flag() -> None:
    parser, found = new_parser(), []

    def replacement(original: Callable[[str], list[Any]], text: str) -> list[Any]:
        found.extend(original(text))
        return original(text)

    argparse_compat.override(parser, get_option_tuples=replacement)
    parser.parse_args(["--lim", "3", "data.csv"])
    (action, flag, *_) = found[0]
    assert (action, flag) == (argparse_compat.flags_of(parser)["--limit"], "--limit"), f"{VERSION} has other tuples"


def test_the_attributes_of_a_parser_are_found() -> None:
    parser = new_parser()
    exclusive = parser.add_mutually_exclusive_group().add_argument("--quick", action="store_true")
    other = parser.add_argument("--other")
    assert [action.dest for action in argparse_compat.actions_of(parser)] == [
        *("help", "mode", "limit", "file", "quick", "other")
    ]
    assert argparse_compat.flags_of(parser)["--other"] is other
    assert argparse_compat.defaults_of(parser) == {"handler": "none"}
    assert argparse_compat.is_exclusive(parser, exclusive)
    assert not argparse_compat.is_exclusive(parser, other)
    assert argparse_compat.is_negative_number(parser, "-3.5")
    assert not argparse_compat.is_negative_number(parser, "-x")
    assert argparse_compat.name_in_messages(other) == "--other"
