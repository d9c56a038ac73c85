"""Tries token orders until the parser reads them as intended."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator

from django_runbook import argparse_compat
from django_runbook.binding.checking_parser import CheckingParser, Consumption, ParseOutcome
from django_runbook.binding.option_tokens import OptionTokens
from django_runbook.binding.unbound import Piece
from django_runbook.structs import Struct


class Level(Struct, kw_only=False):
    """Holds a parser in use: the root, then each chosen sub-command with the index of its token."""

    parser: argparse.ArgumentParser
    position: int


def levels_of(parser: CheckingParser, plain: ParseOutcome) -> list[Level]:
    levels = [Level(parser.root, -1)]
    for consumed in plain.consumptions:
        choices = argparse_compat.sub_parsers(consumed.action)
        chosen = choices.get(consumed.texts[0]) if choices and consumed.texts else None
        if chosen is not None and consumed.indices:
            levels.append(Level(chosen, consumed.indices[0]))
    return levels


def orderings(
    words: list[Piece],
    options: list[tuple[int, OptionTokens]],
    args: list[Piece],
    *,
    levels: list[Level],
    starters: Collection[str],
) -> Iterator[list[Piece]]:
    """Yield the possible orders of the tokens, the most natural one first; the parser decides which one is right."""
    if not options and not args:
        yield words
        return
    tails = list(_tails(args, starters))
    for is_after in (True, False):
        for terminator in ("", "--verbosity", "either", "--"):
            for tail in tails:
                ordering = _compose(words, options, tail, levels=levels, is_after=is_after, terminator=terminator)
                if ordering is not None:
                    yield ordering


def _tails(args: list[Piece], starters: Collection[str]) -> Iterator[list[Piece]]:
    yield args
    dashed = next((index for index, piece in enumerate(args) if piece.text.startswith(tuple(starters))), None)
    if dashed is not None:
        yield [*args[:dashed], _separator(args[dashed]), *args[dashed:]]
    # The last resort: a word before them would take the values.
    if args and dashed != 0:
        yield [_separator(args[0]), *args]


def _separator(piece: Piece) -> Piece:
    return Piece("--", piece.span, "separator")


def _compose(
    words: list[Piece],
    options: list[tuple[int, OptionTokens]],
    tail: list[Piece],
    *,
    levels: list[Level],
    is_after: bool,
    terminator: str,
) -> list[Piece] | None:
    pieces = [*words, *tail]
    takes_rest = any(option.takes_rest for _, option in options)
    if terminator and not takes_rest:
        return None
    # From the innermost level outwards, so that the positions of the outer levels stay valid.
    for level in reversed(range(len(levels))):
        own = sorted((option for at, option in options if at == level), key=_greed)
        tokens = [
            Piece(text, span, "option", option.action)
            for option in own
            for text, span in zip(option.tokens, option.spans, strict=True)
        ]
        if not tokens:
            continue
        is_last = level == len(levels) - 1
        position = len(words) if is_after and is_last else levels[level].position + 1
        if terminator and any(option.takes_rest for option in own):
            verbosity = argparse_compat.flags_of(levels[level].parser).get("--verbosity")
            if terminator != "--" and verbosity is not None:
                tokens.append(Piece(f"--verbosity={verbosity.default}", tokens[-1].span, "terminator"))
            elif terminator != "--verbosity":
                tokens.append(Piece("--", tokens[-1].span, "separator"))
        pieces[position:position] = tokens
    return pieces


def _greed(option: OptionTokens) -> int:
    """Rank an option: first open-ended ones, then those that end them, last those that take the rest."""
    if option.action is not None and option.action.nargs == argparse.REMAINDER:
        return 2
    return 0 if option.takes_rest else 1


def matches_intent(ordering: list[Piece], outcome: ParseOutcome) -> bool:
    """Return whether the parser read every token as intended."""
    kinds = [piece.kind for piece in ordering]
    args = {index for index, kind in enumerate(kinds) if kind == "arg"}
    if any(ordering[index].text == "--" and "separator" not in kinds[:index] for index in args):
        return False
    # A parser may ignore unknown tokens.
    if any(kinds[index] in {"arg", "option"} for index in outcome.extras):
        return False
    if any(_is_misread(ordering[index], by) for by in outcome.consumptions for index in by.indices):
        return False
    # A sub-command receives everything after it, and takes what its own parser takes.
    positional = {
        index
        for by in outcome.consumptions
        if not by.action.option_strings
        for index in (by.indices[:1] if argparse_compat.sub_parsers(by.action) else by.indices)
    }
    wanted = {id(piece.action) for piece in ordering if piece.kind == "option" and piece.action is not None}
    taken = {id(by.action) for by in outcome.consumptions if by.action.option_strings}
    return args <= positional and wanted <= taken


def values_in_line(pieces: list[Piece], outcome: ParseOutcome) -> dict[int, int]:
    """Map the number of each word of the command line to the option that takes it."""
    numbers = {
        index: number for number, index in enumerate(i for i, piece in enumerate(pieces) if piece.kind == "word")
    }
    return {
        numbers[index]: id(by.action)
        for by in outcome.consumptions
        if by.action.option_strings
        for index in by.indices
        if index in numbers
    }


def _is_misread(piece: Piece, by: Consumption) -> bool:
    is_positional = not by.action.option_strings
    match piece.kind:
        case "arg":
            return not is_positional
        case "option" if not is_positional:
            return by.action is not piece.action or by.is_cut_short
        case "option" | "terminator":
            return is_positional and not argparse_compat.sub_parsers(by.action)
        case "separator":
            return by.action.nargs == argparse.REMAINDER
    return False
