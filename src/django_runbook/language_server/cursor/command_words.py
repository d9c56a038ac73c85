"""Splits an unfinished command line at the cursor, and finds the argument that the cursor is in."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence

from django.db import Error as DatabaseError

from django_runbook import argparse_compat
from django_runbook.binding.catalog import CommandSpec
from django_runbook.binding.checking_parser import CheckingParser
from django_runbook.binding.finding import Match
from django_runbook.binding.orderings import levels_of
from django_runbook.document import commandline
from django_runbook.document.diagnostics import Span
from django_runbook.document.expressions import Template, as_written
from django_runbook.document.runbook import Located
from django_runbook.structs import Struct

_SEVERAL = ("*", "+", argparse.REMAINDER)
_NOWHERE = Span(1, 1, 1, 2)


class CommandWords(Struct):
    """Holds the words before the cursor, and the parts of the word at the cursor on both sides of it."""

    words: tuple[str, ...]
    before: str
    after: str

    @property
    def whole(self) -> str:
        return self.before + self.after


class ArgumentAtCursor(Struct):
    """Describes what the word at the cursor can be.

    ``option`` is the option whose value it is or may be, ``is_certain`` that it can be nothing else; ``positional`` is
    the next positional argument. ``parser`` is that of the command or of the chosen sub-command, ``used`` the options
    before the cursor.
    """

    parser: argparse.ArgumentParser
    is_root: bool
    used: tuple[argparse.Action, ...]
    option: Match | None = None
    is_certain: bool = False
    positional: argparse.Action | None = None


def words_at(before: str, after: str, *, mark: str) -> CommandWords | None:
    """Split the command line with these parts on both sides of the cursor; None if the cursor is in no word."""
    line = before + mark + after
    for text in (line, before + mark, f'{before}{mark}"', f"{before}{mark}'"):
        tokens, _ = commandline.split(text, lambda start, end: _NOWHERE)
        written = [_written(token) for token in tokens]
        index = next((number for number, word in enumerate(written) if mark in word), None)
        if index is not None:
            first, _, rest = written[index].partition(mark)
            return CommandWords(words=tuple(written[:index]), before=first, after=rest)
    return None


def _written(token: Located) -> str:
    value = token.value
    return as_written(value) if isinstance(value, str | Template) else ""


def argument_at(spec: CommandSpec, line: CommandWords) -> ArgumentAtCursor | None:
    """Find the argument at the cursor; None if the parser of the command is unknown."""
    if spec.parser is None:
        return None
    words = line.words[1:]
    parsers = [spec.parser.root]
    used: tuple[argparse.Action, ...] = ()
    positional = None
    # A type of the command may read the database, which may be down; its options are known without it.
    with contextlib.suppress(DatabaseError):
        outcome = spec.parser.parse(words)
        parsers = [level.parser for level in reversed(levels_of(spec.parser, outcome))]
        used = tuple(consumed.action for consumed in outcome.consumptions if consumed.action.option_strings)
        positional = _next_positional(spec.parser, words)
    parser = parsers[0]
    option, is_certain = _option_before(words, line.before, parsers)
    is_given = "=" in line.before and line.before.startswith(tuple(parser.prefix_chars))
    return ArgumentAtCursor(
        parser=parser,
        is_root=parser is spec.parser.root,
        used=used,
        option=option,
        is_certain=is_certain or is_given,
        positional=positional,
    )


def match_of(word: str, parsers: Sequence[argparse.ArgumentParser]) -> Match | None:
    """Return the option that a word names: ``--format``, or ``--format=csv``."""
    flag = word.partition("=")[0]
    for parser in parsers:
        action = argparse_compat.flags_of(parser).get(flag)
        if action is not None:
            return Match(action, flag, parser)
    return None


def _option_before(
    words: Sequence[str], before: str, parsers: Sequence[argparse.ArgumentParser]
) -> tuple[Match | None, bool]:
    if "=" in before:
        return match_of(before, parsers), True
    for count, word in enumerate(reversed(words)):
        found = match_of(word, parsers)
        if found is None:
            continue
        if "=" in word or found.action.nargs == 0:
            return None, False
        is_first = count == 0
        nargs = found.action.nargs
        if nargs in _SEVERAL:
            return found, is_first and nargs == "+"
        allowed = nargs if isinstance(nargs, int) else 1
        return (found, nargs != "?") if count < allowed else (None, False)
    return None, False


def _next_positional(parser: CheckingParser, words: Sequence[str]) -> argparse.Action | None:
    """Return the positional argument that takes the next word: it is tried with a word that no choice has."""
    probe = "\ufdd0"
    outcome = parser.parse([*words, probe])
    for consumed in outcome.consumptions:
        if probe in consumed.texts and not consumed.action.option_strings:
            return consumed.action
    refused = outcome.refusal.action if outcome.refusal is not None else None
    if refused is not None and not refused.option_strings:
        return refused
    return None
