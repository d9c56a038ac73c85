"""Adds the verbosity of the run to the tokens of a step if the command's parser accepts it."""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from django.core.management.base import CommandParser

from django_runbook import argparse_compat
from django_runbook.binding.checking_parser import CheckingParser, ParseOutcome
from django_runbook.binding.finding import long_flag
from django_runbook.binding.orderings import levels_of
from django_runbook.binding.unbound import Piece
from django_runbook.document.diagnostics import Span
from django_runbook.structs import replace


def with_verbosity(
    ordering: list[Piece], outcome: ParseOutcome, parser: CheckingParser, *, verbosity: int, span: Span
) -> list[Piece]:
    """Add the verbosity of the run, unless the step sets its own or its parser refuses it.

    A sub-command with the same option overrides it with its default, so the place after the sub-command is tried first.
    """
    own = [by for by in outcome.consumptions if by.action.dest == "verbosity"]
    ends = {index for index, piece in enumerate(ordering) if piece.kind == "terminator"}
    if any(not by.indices or not set(by.indices) <= ends for by in own):
        return ordering
    usual = next((action for action in argparse_compat.actions_of(parser.root) if _is_verbosity(action)), None)
    if usual is not None and not own and _is_beyond_doubt(parser, usual, verbosity):
        return [Piece(f"{long_flag(usual)}={verbosity}", span, "verbosity"), *ordering]
    wanted = _consumed(outcome)
    for candidate in _candidates(ordering, outcome, parser, verbosity=verbosity, span=span):
        found = parser.parse([piece.text for piece in candidate])
        is_given = str(found.values.get("verbosity")) == str(verbosity)
        if found.refusal is None and is_given and _consumed(found) == wanted:
            return candidate
    return ordering


def _candidates(
    ordering: list[Piece], outcome: ParseOutcome, parser: CheckingParser, *, verbosity: int, span: Span
) -> Iterator[list[Piece]]:
    for level in reversed(levels_of(parser, outcome)):
        flag = next(
            (long_flag(action) for action in argparse_compat.actions_of(level.parser) if _is_verbosity(action)), None
        )
        if flag is None:
            continue
        # A terminator of an open-ended option is a verbosity too.
        pieces = [
            replace(piece, text=f"{flag}={verbosity}") if piece.kind == "terminator" else piece for piece in ordering
        ]
        at = level.position + 1
        yield [*pieces[:at], Piece(f"{flag}={verbosity}", span, "verbosity"), *pieces[at:]]
        if pieces != ordering:
            yield pieces


def _is_beyond_doubt(parser: CheckingParser, action: argparse.Action, verbosity: int) -> bool:
    """Return whether Django's own option can be added without parsing again, since nothing else depends on it."""
    kind = type(parser.root)
    return (
        len(parser.parsers) == 1
        and type(action) is argparse_compat.StoreAction
        and action.type is int
        and (action.choices is None or verbosity in action.choices)
        and kind.parse_args in {CommandParser.parse_args, argparse.ArgumentParser.parse_args}
        and kind.parse_known_args is argparse.ArgumentParser.parse_known_args
        and not argparse_compat.is_exclusive(parser.root, action)
    )


def _is_verbosity(action: argparse.Action) -> bool:
    return action.dest == "verbosity" and bool(action.option_strings) and action.nargs is None


def _consumed(outcome: ParseOutcome) -> list[tuple[int, tuple[str, ...]]]:
    """Return which action takes which values, without the verbosity."""
    return [
        (id(by.action), by.texts[:1] if argparse_compat.sub_parsers(by.action) else by.texts)
        for by in outcome.consumptions
        if by.action.dest != "verbosity"
    ]
