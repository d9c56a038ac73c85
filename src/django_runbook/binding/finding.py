"""Finds the argparse actions that the name of an option refers to."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from django_runbook import argparse_compat
from django_runbook.document.diagnostics import Diagnostic, diagnose
from django_runbook.document.runbook import Option
from django_runbook.structs import Struct


class OptionError(Exception):
    """Reports that an option cannot be passed to the command."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


class Match(Struct, kw_only=False):
    """Holds an action that a name refers to, and its flag; ``is_by_dest`` if the name is its dest."""

    action: argparse.Action
    flag: str
    parser: argparse.ArgumentParser
    is_by_dest: bool = False


class Found(Struct, kw_only=False):
    """Holds the matches of a name in the parser with the index ``level``."""

    level: int
    matches: tuple[Match, ...]


def find(option: Option, parsers: Sequence[argparse.ArgumentParser]) -> Found | None:
    """Find a name in the innermost parser that has it; raise OptionError if it is ambiguous.

    The parsers are that of the command and those of the chosen sub-commands.
    """
    found = [Found(level, matches) for level, parser in enumerate(parsers) if (matches := find_in(option, parser))]
    if not found:
        return None
    inner = found[-1].matches
    hidden = [outer for other in found[:-1] for outer in other.matches if _is_another(outer, inner)]
    _refuse_two_meanings(option, (*inner, *hidden), is_split=bool(hidden))
    return found[-1]


def find_in(option: Option, parser: argparse.ArgumentParser) -> tuple[Match, ...]:
    """Find a name in one parser: a flag, or all flags of a dest; several actions may match."""
    name, prefixes = option.name, parser.prefix_chars or "-"
    if name.startswith(tuple(prefixes)):
        return _first([_by_flag(parser, spelling) for spelling in _variants(name)])
    spellings = [[f"{prefix}{one}" for prefix in _prefixes(prefixes)] for one in _variants(name)]
    by_flag = _first([[match for one in row for match in _by_flag(parser, one)] for row in spellings])
    dests = {name, name.replace("-", "_")}
    by_dest = [
        Match(action, long_flag(action), parser, is_by_dest=True)
        for action in argparse_compat.actions_of(parser)
        if action.option_strings and action.dest in dests
    ]
    if not by_flag:
        return tuple(by_dest)
    known = {match.action.dest for match in by_flag}
    return (*by_flag, *(match for match in by_dest if match.action.dest not in known))


def long_flag(action: argparse.Action) -> str:
    """Return the first long flag of an action, or else its first flag."""
    return next((flag for flag in action.option_strings if flag[:1] == flag[1:2]), action.option_strings[0])


def _prefixes(characters: str) -> Iterator[str]:
    for character in characters:
        yield character * 2
        yield character


def _variants(name: str) -> list[str]:
    """Return a name as written, with dashes for underscores, and with underscores for dashes."""
    bare = name.lstrip("-")
    front = name[: len(name) - len(bare)]
    return [name, front + bare.replace("_", "-"), front + bare.replace("-", "_")]


def _by_flag(parser: argparse.ArgumentParser, flag: str) -> list[Match]:
    action = argparse_compat.flags_of(parser).get(flag)
    return [] if action is None else [Match(action, flag, parser)]


def _first(rows: Sequence[Sequence[Match]]) -> tuple[Match, ...]:
    """Return the first row that is not empty, each action once."""
    row = next((row for row in rows if row), ())
    return tuple({id(match.action): match for match in reversed(row)}.values())[::-1]


def _is_another(outer: Match, inner: Sequence[Match]) -> bool:
    """Return whether an outer option differs from the inner ones: a sub-command may repeat an option of its command."""
    return all(outer.action.dest != match.action.dest or (match.is_by_dest and not outer.is_by_dest) for match in inner)


def refuse_guess(option: Option, matches: Sequence[Match]) -> OptionError:
    """Make the error for an ambiguous name."""
    names = ", ".join(dict.fromkeys(match.flag for match in matches))
    message = f'"{option.name}" could mean {names}'
    return OptionError(
        diagnose("RB407", message=message, span=option.name_span, help_text="write the intended option in full")
    )


def _refuse_two_meanings(option: Option, matches: Sequence[Match], *, is_split: bool) -> None:
    dests = {match.action.dest for match in matches}
    actions = {id(match.action) for match in matches if not match.is_by_dest}
    if is_split or len(dests) > 1 or len(actions) > 1:
        raise refuse_guess(option, matches)
