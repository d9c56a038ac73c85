"""Converts the entries of ``options`` to the tokens of a command line."""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

from django_runbook import argparse_compat
from django_runbook.binding import flags
from django_runbook.binding.finding import Match, OptionError
from django_runbook.binding.partial_text import UNKNOWN, joined
from django_runbook.binding.unbound import Piece, Problems
from django_runbook.document.diagnostics import Diagnostic, Span, diagnose
from django_runbook.document.runbook import Located, Option
from django_runbook.document.similar_names import nearest
from django_runbook.structs import Struct
from django_runbook.wording import did_you_mean

_REFUSED: Final = frozenset(("help", "version", "settings", "pythonpath"))
_REPEATABLE: Final = (argparse_compat.AppendAction, argparse_compat.ExtendAction)
_SEVERAL: Final = ("+", "*", argparse.REMAINDER)


class OptionTokens(Struct):
    """Holds the tokens of an option and their ``spans``; ``takes_rest`` if it would take the tokens after it."""

    option: Option
    action: argparse.Action | None
    tokens: tuple[str, ...]
    spans: tuple[Span, ...]
    takes_rest: bool = False


def to_tokens(option: Option, matches: Sequence[Match], *, starters: Collection[str] = "-") -> OptionTokens:
    """Convert a matched option to tokens; no value begins with a character of ``starters``. Raise OptionError."""
    match: Match | None = matches[0]
    assert match is not None
    if option.value.value is None:
        return OptionTokens(option=option, action=None, tokens=(), spans=())
    if len(matches) > 1 or (match.is_by_dest and match.action.nargs == 0):
        match = flags.by_constant(option, matches)
        if match is None:
            return OptionTokens(option=option, action=matches[0].action, tokens=(), spans=())
    if match.action.nargs == 0:
        tokens = tuple(flags.flags_for(option, match))
        # The action of the opposite flag, for false.
        action = argparse_compat.flags_of(match.parser)[tokens[0]] if tokens else match.action
        return OptionTokens(option=option, action=action, tokens=tokens, spans=(option.name_span,) * len(tokens))
    return _value_to_tokens(option, match, starters=starters)


def _value_to_tokens(option: Option, match: Match, *, starters: Collection[str]) -> OptionTokens:
    action, flag, located = match.action, match.flag, option.value
    takes_several = action.nargs in _SEVERAL or isinstance(action.nargs, int)
    if action.nargs == "?" and isinstance(located.value, bool):
        tokens = (flag,) if located.value else ()
        spans = (option.name_span,) * len(tokens)
        return OptionTokens(option=option, action=action, tokens=tokens, spans=spans, takes_rest=bool(tokens))
    if isinstance(located.value, tuple):
        return _list_to_tokens(option, match, located.value, takes_several=takes_several, starters=starters)
    if takes_several and not (isinstance(located.value, str) and located.value.startswith(tuple(starters))):
        times = action.nargs if isinstance(action.nargs, int) and located.value is UNKNOWN else 1
        text = as_token(located, what=flag)
        return OptionTokens(
            option=option,
            action=action,
            tokens=(flag, *[text] * times),
            spans=(option.name_span, *[located.span] * times),
            takes_rest=action.nargs in _SEVERAL,
        )
    # Joined with "=", so that a value may begin with a dash.
    token = joined(flag, "=", as_token(located, what=flag))
    return OptionTokens(option=option, action=action, tokens=(token,), spans=(located.span,))


def _list_to_tokens(
    option: Option, match: Match, items: Sequence[Located], *, takes_several: bool, starters: Collection[str]
) -> OptionTokens:
    action, flag = match.action, match.flag
    nested = [item for item in items if isinstance(item.value, tuple)]
    if takes_several and not nested:
        texts = [as_token(item, what=flag) for item in items]
        if not texts and action.nargs == "+":
            raise _needs_value(option, flag)
        is_dashed = any(text.startswith(tuple(starters)) for text in texts)
        if is_dashed and (len(items) == 1 or isinstance(action, argparse_compat.ExtendAction)):
            # Joined with "=", so that a value may begin with a dash.
            tokens = tuple(joined(flag, "=", text) for text in texts)
            return OptionTokens(option=option, action=action, tokens=tokens, spans=tuple(item.span for item in items))
        return OptionTokens(
            option=option,
            action=action,
            tokens=(flag, *texts),
            spans=(option.name_span, *(item.span for item in items)),
            takes_rest=action.nargs in _SEVERAL,
        )
    if isinstance(action, argparse_compat.StoreAction) and len(items) != 1:
        help_text = "write one value" if items else "write a value, or remove the option"
        message = f"{flag} takes one value, not {len(items)}"
        raise OptionError(diagnose("RB404", message=message, span=option.value.span, help_text=help_text))
    singles = [Option(name=option.name, name_span=option.name_span, value=item) for item in items]
    parts = [_value_to_tokens(single, match, starters=starters) for single in singles]
    return OptionTokens(
        option=option,
        action=action,
        tokens=tuple(token for part in parts for token in part.tokens),
        spans=tuple(span for part in parts for span in part.spans),
        takes_rest=bool(parts) and parts[-1].takes_rest,
    )


def _needs_value(option: Option, flag: str) -> OptionError:
    message = f"{flag} needs at least one value"
    return OptionError(
        diagnose("RB404", message=message, span=option.value.span, help_text="write a value, or remove it")
    )


def is_repeatable(action: argparse.Action) -> bool:
    """Return whether repeating the option on a command line has a meaning."""
    single = (argparse_compat.StoreAction, argparse_compat.StoreConstAction, argparse.BooleanOptionalAction)
    return isinstance(action, _REPEATABLE) or not isinstance(action, single)


def as_token(located: Located, *, what: str) -> str:
    """Convert a scalar to a token; raise OptionError for any other value."""
    value = located.value
    match value:
        case str():
            return value
        case bool():
            help_text = f'write "{str(value).lower()}" in quotes to pass it as a string'
            message = f"{what} takes a value, not true or false"
        case int() | float():
            return located.text or repr(value)
        case datetime.date():
            return value.isoformat()
        case None:
            message, help_text = f"{what} has no value", 'write "" for an empty string, or remove it'
        case Mapping():
            message, help_text = (
                f"{what} does not take a mapping",
                "write the value as a string, or its entries one by one",
            )
        case _:
            message, help_text = f"{what} takes a string or a number", "write the value as a string"
    raise OptionError(diagnose("RB404", message=message, span=located.span, help_text=help_text))


def to_unchecked_tokens(option: Option, *, is_deferred: bool) -> OptionTokens:
    """Convert an option by the usual rules, for a command without a usable parser. Raise OptionError.

    False is refused, since the option could have an opposite, unless the check is only deferred.
    """
    flag = option.name if option.name.startswith("-") else f"--{option.name.replace('_', '-')}"
    value = option.value.value
    if value is None:
        return OptionTokens(option=option, action=None, tokens=(), spans=())
    if value is False and not is_deferred:
        message = f"{flag} cannot be false: its opposite is unknown"
        help_text = "remove it, or set the opposite option to true"
        raise OptionError(diagnose("RB404", message=message, span=option.value.span, help_text=help_text))
    if isinstance(value, bool):
        alone = (flag,) if value else ()
        return OptionTokens(option=option, action=None, tokens=alone, spans=(option.name_span,) * len(alone))
    items = value if isinstance(value, tuple) else (option.value,)
    tokens = tuple(joined(flag, "=", as_token(item, what=flag)) for item in items)
    return OptionTokens(option=option, action=None, tokens=tokens, spans=tuple(item.span for item in items))


def unchecked_tokens(problems: Problems, args: Sequence[Piece], *, is_deferred: bool) -> list[str]:
    """Return the tokens of a command in the usual order, without checking them."""
    words = [word.text for word in problems.command.words]
    return [
        *words,
        *unchecked_options(problems, problems.command.options, is_deferred=is_deferred),
        *unchecked_args(args),
    ]


def unchecked_options(problems: Problems, options: Iterable[Option], *, is_deferred: bool) -> Iterator[str]:
    """Yield the tokens of options by the usual rules, and report invalid values."""
    for option in options:
        try:
            yield from to_unchecked_tokens(option, is_deferred=is_deferred).tokens
        except OptionError as error:
            problems.found.append(error.diagnostic)


def unchecked_args(args: Sequence[Piece]) -> Iterator[str]:
    """Yield positional values, after two dashes if one of them begins with a dash."""
    if any(piece.text.startswith("-") for piece in args):
        yield "--"
    yield from (piece.text for piece in args)


def unknown(
    option: Option, *, command: str, parsers: Iterable[argparse.ArgumentParser], stealth: Iterable[str]
) -> Diagnostic:
    """Make the diagnostic for an option that the command does not have."""
    actions = [action for parser in parsers for action in argparse_compat.actions_of(parser)]
    name = option.name.lstrip("-").replace("-", "_")
    message = f'"{command}" has no option "{option.name}"'
    if any(action.dest == name and not action.option_strings for action in actions):
        return diagnose(
            "RB405",
            message=f'"{option.name}" is a positional argument of "{command}"',
            span=option.name_span,
            help_text='put its value under "args"',
        )
    if name in stealth:
        help_text = "only Python code can set it, not a command line"
        return diagnose("RB403", message=message, span=option.name_span, help_text=help_text)
    known = {flag.lstrip("-") for action in actions for flag in action.option_strings if flag.startswith("--")}
    names = sorted(known - _REFUSED)
    word = option.name.lstrip("-").replace("_", "-")
    whole = [name for name in names if name.startswith(word) and len(word) > 1]
    if whole:
        message = f'"{option.name}" is an abbreviation of {", ".join(f"--{name}" for name in whole)}'
        help_text = f"write it in full: {', '.join(whole)}"
        return diagnose("RB403", message=message, span=option.name_span, help_text=help_text)
    near = nearest(word, names)
    help_text = did_you_mean(near) if near else f"its options are: {', '.join(names)}"
    return diagnose("RB403", message=message, span=option.name_span, help_text=help_text)
