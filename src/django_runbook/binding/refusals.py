"""Turns parser errors into diagnostics, one for each error."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator

from django_runbook import argparse_compat
from django_runbook.binding.checking_parser import CheckingParser, Refusal, is_refused
from django_runbook.binding.partial_text import UNKNOWN, holes_of, joined
from django_runbook.binding.unbound import Piece, Problems
from django_runbook.document.diagnostics import Diagnostic, Span, diagnose
from django_runbook.document.similar_names import nearest
from django_runbook.structs import replace
from django_runbook.wording import choose_from, did_you_mean, one_after_another

_MAX_REFUSALS = 12
_FLAG = re.compile(r"(?<!\S)--?[^\s,]+")
_REQUIRED = re.compile(r"(?:required|requires?)[^:]*: (.+)")


def explain(problems: Problems, parser: CheckingParser, ordering: list[Piece], *, has_unknown_option: bool) -> None:
    """Report why the parser refuses the tokens; remove the cause of each error to find the next one."""
    pieces = list(ordering)
    made_optional: list[argparse.Action] = []
    is_named = bool(problems.found)
    try:
        for _ in range(_MAX_REFUSALS):
            refusal = parser.parse([piece.text for piece in pieces]).refusal
            if refusal is None:
                return
            dropped = _report_refusal(
                problems, parser, pieces, refusal, made_optional=made_optional, is_quiet=is_named or has_unknown_option
            )
            if dropped is None:
                return
            pieces = [piece for index, piece in enumerate(pieces) if index not in dropped]
            is_named = is_named or refusal.kind == "extra"
    finally:
        for action in made_optional:
            action.required = True
        problems.found = list(_without_follow_ups(problems))


def _without_follow_ups(problems: Problems) -> Iterator[Diagnostic]:
    """Drop "missing option" diagnostics if the option is present but misspelled, which is reported already."""
    unknown = problems.unknown_flags
    for item in problems.found:
        flags = _FLAG.findall(item.message) if item.code == "RB413" else []
        is_misspelt = any(flag.startswith(word) or nearest(word, [flag]) for flag in flags for word in unknown)
        if not is_misspelt:
            yield item


def _report_refusal(
    problems: Problems,
    parser: CheckingParser,
    pieces: list[Piece],
    refusal: Refusal,
    *,
    made_optional: list[argparse.Action],
    is_quiet: bool,
) -> set[int] | None:
    """Report a refusal; return the indices to remove before the next parse, None if another parse is useless."""
    command = problems.command
    if refusal.kind == "required":
        return _report_missing(problems, parser, refusal, made_optional=made_optional, is_quiet=is_quiet)
    is_conflict = "not allowed with" in refusal.message
    flags = _indices_of(refusal.action, pieces)
    indices = (flags | set(refusal.indices) if is_conflict else set(refusal.indices)) or flags
    first = min(indices, default=None)
    span = pieces[first].span if first is not None else command.name_span
    if refusal.kind == "extra":
        # The token after an unknown option is likely its value.
        options = [index for index in indices if pieces[index].text.startswith(tuple(parser.prefixes))]
        for index in sorted(options or indices):
            problems.found.append(_unrecognized(pieces[index], problems, parser))
        return indices or None
    what = name_of(refusal.action)
    dashed = next((piece for piece in pieces if _is_dashed_value(piece, refusal, parser.prefixes)), None)
    if dashed is not None:
        message = f'"{dashed.text}" begins with a dash and would be read as an option'
        problems.add("RB408", message, dashed.span, f"{what} takes several values, which cannot begin with a dash")
        return {index for index, piece in enumerate(pieces) if piece.action is refusal.action}
    if refusal.kind == "refused":
        problems.add(
            "RB406",
            f"{what} has no meaning in a runbook",
            span,
            "remove it: all steps share the settings of run_runbook",
        )
    else:
        message, help_text = _value_message(refusal, what)
        problems.add("RB404", message, span, help_text)
        if refusal.indices and not is_conflict:
            return _replace_with_unknown(pieces, refusal)
    if refusal.action is not None and refusal.action.required:
        refusal.action.required = False
        made_optional.append(refusal.action)
    if not indices:
        return None
    return indices | _whole_option(refusal.action, pieces, indices)


def _replace_with_unknown(pieces: list[Piece], refusal: Refusal) -> set[int] | None:
    """Replace wrong values with `UNKNOWN`, so that the tokens around them can be checked."""
    flags = refusal.action.option_strings if refusal.action is not None else ()
    before = [(piece.text, holes_of(piece.text)) for piece in pieces]
    for index in refusal.indices:
        text = pieces[index].text
        long = next((flag for flag in flags if text.startswith(f"{flag}=")), None)
        short = next((flag for flag in flags if not flag.startswith("--") and text.startswith(flag)), "")
        pieces[index] = replace(pieces[index], text=joined(long, "=", UNKNOWN) if long else joined(short, UNKNOWN))
    return set() if [(piece.text, holes_of(piece.text)) for piece in pieces] != before else None


def _report_missing(
    problems: Problems,
    parser: CheckingParser,
    refusal: Refusal,
    *,
    made_optional: list[argparse.Action],
    is_quiet: bool,
) -> set[int] | None:
    match = _REQUIRED.search(refusal.message)
    names = match[1].split(", ") if match else []
    actions = [
        action
        for one in parser.parsers
        for action in argparse_compat.actions_of(one)
        if action.required and argparse_compat.name_in_messages(action) in names
    ]
    if not is_quiet:
        listed = ", ".join(name_of(action) for action in actions) or refusal.message
        positional = [action for action in actions if not action.option_strings]
        message = f'"{problems.command.name}" needs {listed}' if actions else _sentence(refusal.message)
        help_text = (
            'add it to the command line or to "args"' if positional else 'add it to the command line or to "options"'
        )
        problems.add("RB413", message, problems.command.name_span, help_text)
    for action in actions:
        action.required = False
        made_optional.append(action)
    return set() if actions else None


def _is_dashed_value(piece: Piece, refusal: Refusal, parser_prefixes: str) -> bool:
    """Return whether a token is a dashed value of an option that lacks values."""
    action = refusal.action
    if action is None or piece.action is not action or refusal.indices or "expected" not in refusal.message:
        return False
    return piece.text.startswith(tuple(parser_prefixes)) and not any(
        _is_flag(piece.text, flag) for flag in action.option_strings
    )


def _sentence(message: str) -> str:
    return message.removeprefix("Error: ").rstrip(".")


def _indices_of(action: argparse.Action | None, pieces: list[Piece]) -> set[int]:
    if action is None:
        return set()
    found = [
        index
        for index, piece in enumerate(pieces)
        if piece.action is action or any(_is_flag(piece.text, flag) for flag in action.option_strings)
    ]
    return {found[-1]} if found else set()


def _is_flag(text: str, flag: str) -> bool:
    return text == flag or text.startswith(f"{flag}=")


def _whole_option(action: argparse.Action | None, pieces: list[Piece], indices: set[int]) -> set[int]:
    """Return the index of the flag before a wrong value."""
    if action is None or not action.option_strings:
        return set()
    if not indices:
        return set()
    first = min(indices)
    is_flag_before = first > 0 and any(_is_flag(pieces[first - 1].text, flag) for flag in action.option_strings)
    return {first - 1} if is_flag_before else set()


def _value_message(refusal: Refusal, what: str) -> tuple[str, str]:
    action, message = refusal.action, refusal.message
    choices = getattr(action, "choices", None)
    if "invalid choice" in message and choices is not None:
        names = [str(choice) for choice in choices] if isinstance(choices, Iterable) else []
        given = re.search(r"invalid choice: (.+?) \((?:choose|maybe)", message)
        value = given[1].strip("'\"") if given else ""
        help_text = one_after_another(did_you_mean(nearest(value, names)), choose_from(names))
        return f'{what} cannot be "{value}"', help_text
    if refusal.kind == "crash":
        return f"the command's own check failed: {message}", ""
    return f"{what}: {message}", ""


def name_of(action: argparse.Action | None) -> str:
    if action is None:
        return "the argument"
    if action.option_strings:
        return next((flag for flag in action.option_strings if flag.startswith("--")), action.option_strings[0])
    name = action.metavar or action.dest
    return f'"{name}"' if isinstance(name, str) else str(action.dest)


def _unrecognized(piece: Piece, problems: Problems, parser: CheckingParser) -> Diagnostic:
    flag, name = piece.text.split("=", 1)[0], problems.command.name
    is_dashed = flag.startswith(tuple(parser.prefixes))
    if is_dashed and piece.kind != "word":
        message = f'"{piece.text}" begins with a dash and would be read as an option'
        help_text = "an option that takes several values does not accept such a value"
        return diagnose("RB408", message=message, span=piece.span, help_text=help_text)
    if not is_dashed:
        message = f'"{name}" does not take another argument "{piece.text}"'
        return diagnose("RB414", message=message, span=piece.span, help_text="remove it")
    problems.unknown_flags.append(flag)
    message, help_text = _about_flag(flag, name, parser)
    return diagnose("RB403", message=message, span=_first_part(piece.span, len(flag)), help_text=help_text)


def _about_flag(flag: str, name: str, parser: CheckingParser) -> tuple[str, str]:
    """Return the message and the help for a flag that is unknown at this place of the command line."""
    if flag in argparse_compat.flags_of(parser.root):
        message = f'"{flag}" is an option of "{name}" and not of its sub-command'
        return message, 'write it before the sub-command, or put it under "options"'
    actions = [action for one in parser.parsers for action in argparse_compat.actions_of(one)]
    subs = [
        sub
        for action in actions
        for sub, one in argparse_compat.sub_parsers(action).items()
        if flag in argparse_compat.flags_of(one)
    ]
    if subs:
        message = f'"{flag}" is an option of the sub-command "{subs[0]}"'
        return message, "write it after that sub-command"
    flags = sorted({flag for one in parser.parsers for flag in _flags_of(one, is_root=one is parser.root)})
    whole = [known for known in flags if known.startswith(flag) and len(flag) > 2]
    if whole:
        return f'"{flag}" is an abbreviation of {", ".join(whole)}', f"write it in full: {', '.join(whole)}"
    names = ", ".join(known for known in flags if len(known) > 2)
    return f'"{name}" has no option "{flag}"', did_you_mean(nearest(flag, flags)) or f"its options are: {names}"


def _flags_of(parser: argparse.ArgumentParser, *, is_root: bool) -> Iterator[str]:
    for flag, action in argparse_compat.flags_of(parser).items():
        if not is_refused(action, is_root=is_root):
            yield flag


def _first_part(span: Span, length: int) -> Span:
    if span.line != span.end_line or span.column + length > span.end_column:
        return span
    return Span(span.line, span.column, span.line, span.column + length)
