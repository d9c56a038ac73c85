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
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Generic, TypeVar

__all__ = [
    "ActionsContainer",
    "AppendAction",
    "CountAction",
    "ExtendAction",
    "HelpAction",
    "ParserTemplate",
    "StoreAction",
    "StoreConstAction",
    "SubParsersAction",
    "VersionAction",
    "actions_of",
    "defaults_of",
    "flags_of",
    "is_exclusive",
    "is_negative_number",
    "name_in_messages",
    "override",
    "sub_parsers",
]

# What `ParserTemplate` copies; anything else, such as a type or a string, is shared.
_COPIED: Final = (list, dict, argparse.Action, ActionsContainer)
_Parser = TypeVar("_Parser", bound=argparse.ArgumentParser)


class ParserTemplate(Generic[_Parser]):
    """Makes copies of a parser, its groups and its actions, which share nothing that can change.

    The parser must not change. ``copy.deepcopy`` does the same for everything that a parser may contain, and takes ten
    times as long: here, what contains what is found once.
    """

    def __init__(self, parser: _Parser) -> None:
        self._parts: list[Any] = []
        # Each is the number of a part, a place in it, and the number of the part in that place.
        self._links: list[tuple[int, Any, int]] = []
        self._numbers: dict[int, int] = {}
        self._add(parser)

    def copy(self) -> _Parser:
        """Return a new copy."""
        copies = [_shallow_copy(part) for part in self._parts]
        insides = [copy if isinstance(copy, (list, dict)) else vars(copy) for copy in copies]
        for outer, place, inner in self._links:
            insides[outer][place] = copies[inner]
        parser: _Parser = copies[0]
        return parser

    def _add(self, part: Any) -> int:
        """Return the number of a part, which is added with all parts in it unless it is known."""
        number = self._numbers.setdefault(id(part), len(self._parts))
        if number == len(self._parts):
            self._parts.append(part)
            inside = part if isinstance(part, (list, dict)) else vars(part)
            places = enumerate(inside) if isinstance(inside, list) else inside.items()
            self._links += [(number, place, self._add(one)) for place, one in places if isinstance(one, _COPIED)]
        return number


def _shallow_copy(part: Any) -> Any:
    if isinstance(part, (list, dict)):
        return part.copy()
    copy = object.__new__(type(part))
    vars(copy).update(vars(part))
    return copy


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
