"""Wraps the private API of argparse; `tests/test_argparse_compat.py` checks each part of it on every Python."""

from __future__ import annotations

import argparse
import functools
from argparse import _ActionsContainer as ActionsContainer
from argparse import _AppendAction as AppendAction
from argparse import _CountAction as CountAction
from argparse import _ExtendAction as ExtendAction
from argparse import _HelpAction as HelpAction
from argparse import _StoreAction as StoreAction
from argparse import _StoreConstAction as StoreConstAction
from argparse import _SubParsersAction as SubParsersAction
from argparse import _VersionAction as VersionAction
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

__all__ = [
    "ActionsContainer",
    "AppendAction",
    "CountAction",
    "ExtendAction",
    "HelpAction",
    "StoreAction",
    "StoreConstAction",
    "SubParsersAction",
    "VersionAction",
    "actions_of",
    "copied",
    "defaults_of",
    "flags_of",
    "is_exclusive",
    "is_negative_number",
    "name_in_messages",
    "override",
    "sub_parsers",
]

# What `copied` copies; anything else, such as a type or a string, is shared.
_COPIED: Final = (list, dict, argparse.Action, ActionsContainer)
_Parser = TypeVar("_Parser", bound=argparse.ArgumentParser)


def copied(parser: _Parser) -> _Parser:
    """Return a copy of a parser, its groups and its actions, which a change of the copy leaves as they are.

    ``copy.deepcopy`` does the same for everything that a parser may contain, and takes three times as long.
    """
    copy: _Parser = _copied(parser, {})
    return copy


def _copied(value: Any, known: dict[int, Any]) -> Any:
    if id(value) in known:
        return known[id(value)]
    new: Any
    places: Iterable[tuple[Any, Any]]
    if isinstance(value, list):
        new = value.copy()
        places, inside = enumerate(value), new
    elif isinstance(value, dict):
        new = value.copy()
        places, inside = value.items(), new
    else:
        new = object.__new__(type(value))
        inside = vars(new)
        inside.update(vars(value))
        places = vars(value).items()
    known[id(value)] = new
    for place, one in places:
        if isinstance(one, _COPIED):
            inside[place] = _copied(one, known)
    return new


def actions_of(parser: argparse.ArgumentParser) -> Sequence[argparse.Action]:
    """Return the actions of a parser."""
    return parser._actions


def flags_of(parser: argparse.ArgumentParser) -> Mapping[str, argparse.Action]:
    """Return the optional actions of a parser by their flags."""
    return parser._option_string_actions


def defaults_of(parser: argparse.ArgumentParser) -> Mapping[str, object]:
    """Return the defaults that ``set_defaults`` has set for dests without an action."""
    return parser._defaults


def is_exclusive(parser: argparse.ArgumentParser, action: argparse.Action) -> bool:
    """Return whether the action is in a mutually exclusive group."""
    return any(action in group._group_actions for group in parser._mutually_exclusive_groups)


def is_negative_number(parser: argparse.ArgumentParser, text: str) -> bool:
    """Return whether the parser reads a string as a negative number rather than as an option."""
    return bool(parser._negative_number_matcher.match(text))


def name_in_messages(action: argparse.Action) -> str | None:
    """Return the name of an action in the messages of argparse."""
    return argparse._get_action_name(action)


def sub_parsers(action: argparse.Action) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of a sub-command action by name; empty for any other action."""
    if not isinstance(action, SubParsersAction):
        return {}
    return {str(name): choice for name, choice in action.choices.items() if hasattr(choice, "_actions")}


def override(parser: argparse.ArgumentParser, **replacements: Callable[..., Any]) -> None:
    """Replace private methods of one parser; each replacement is called with the original method first."""
    for name, replacement in replacements.items():
        original = getattr(parser, f"_{name}")
        setattr(parser, f"_{name}", functools.partial(replacement, original))
