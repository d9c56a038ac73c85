"""Checks the private API of argparse on this Python: `argparse_compat` must be adapted where one of these fails."""

from __future__ import annotations

import argparse
import copy
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


def described(value: Any, known: dict[int, int] | None = None) -> Any:
    """Describe a parser with all that it contains, and which objects in it are the same one."""
    known = {} if known is None else known
    if not isinstance(value, list | tuple | set | dict | argparse.Action | argparse_compat.ActionsContainer):
        return getattr(value, "__qualname__", value if isinstance(value, str | int | None) else type(value))
    if id(value) in known:
        return known[id(value)]
    known[id(value)] = len(known)
    if isinstance(value, set):
        return sorted(map(str, value))
    if isinstance(value, list | tuple):
        return [type(value).__name__, *(described(one, known) for one in value)]
    items = value if isinstance(value, dict) else vars(value)
    return [type(value).__name__, *((str(name), described(one, known)) for name, one in items.items())]


def rich_parser() -> argparse.ArgumentParser:
    parser = new_parser()
    parser.add_argument_group("group").add_argument("--many", nargs="*", default=[1, 2])
    alone = parser.add_mutually_exclusive_group()
    alone.add_argument("--yes", action="store_true")
    alone.add_argument("--no", action="store_true")
    parser.add_subparsers(dest="sub").add_parser("import").add_argument("--inner")
    return parser


def test_a_copy_is_what_a_deep_copy_would_be() -> None:
    parser = rich_parser()
    assert (
        described(argparse_compat.ParserTemplate(parser).copy())
        == described(copy.deepcopy(parser))
        == described(parser)
    )


def test_a_copy_shares_no_part_that_can_change() -> None:
    def parts(value: Any, found: dict[int, Any]) -> dict[int, Any]:
        if isinstance(value, list | dict | argparse.Action | argparse_compat.ActionsContainer):
            if id(value) in found:
                return found
            found[id(value)] = value
            inside = value if isinstance(value, list) else (value if isinstance(value, dict) else vars(value)).values()
            for one in inside:
                parts(one, found)
        return found

    parser = rich_parser()
    template = argparse_compat.ParserTemplate(parser)
    first, second = template.copy(), template.copy()
    all_parts = [parts(one, {}) for one in (parser, first, second)]
    assert len(all_parts[0]) == len(all_parts[1]) == len(all_parts[2]) > 50
    assert len({*all_parts[0], *all_parts[1], *all_parts[2]}) == 3 * len(all_parts[0])


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
