"""Chooses the flags for options without a value, such as store_true, count or BooleanOptionalAction."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

from django_runbook import argparse_compat
from django_runbook.binding.finding import Match, OptionError, long_flag, refuse_guess
from django_runbook.binding.partial_text import UNKNOWN
from django_runbook.document.diagnostics import diagnose
from django_runbook.document.runbook import Option

MAX_COUNT = 100


def by_constant(option: Option, matches: Sequence[Match]) -> Match | None:
    """Choose the flag that sets a dest to a value; None if that is its default. Raise OptionError."""
    value = option.value.value
    if value is UNKNOWN:
        return None
    flags = [match for match in matches if match.action.nargs == 0]
    if len(flags) != len(matches):
        raise refuse_guess(option, matches)
    for match in flags:
        is_two_sided = isinstance(match.action, argparse.BooleanOptionalAction | argparse_compat.CountAction)
        if is_two_sided or _is_same(getattr(match.action, "const", None), value):
            return match
    default = default_of(matches[0].action, matches[0].parser)
    if _is_same(default, value) or (value is False and not default):
        return None
    if len(flags) > 1:
        raise refuse_guess(option, matches)
    return _single(option, flags[0], default)


def flags_for(option: Option, match: Match) -> Iterator[str]:
    """Yield the flags for a value, none for the default; raise OptionError."""
    value, action = option.value.value, match.action
    if value is UNKNOWN:
        return
    if isinstance(action, argparse_compat.CountAction) and type(value) is int and 0 <= value <= MAX_COUNT:
        yield from [match.flag] * value
    elif isinstance(action, argparse_compat.CountAction) and not isinstance(value, bool):
        raise _of_value(option, f"{match.flag} is a counter", f"write a number from 0 to {MAX_COUNT}")
    elif isinstance(action, argparse.BooleanOptionalAction):
        yield _positive_or_negative(option, match)
    elif value is True or (match.is_by_dest and _is_same(getattr(action, "const", None), value)):
        yield match.flag
    elif value is False:
        yield from _switched_off(option, match)
    else:
        help_text = f'write "{_name(match.flag)}: true" for {match.flag}, or remove it'
        raise _of_value(option, f"{match.flag} takes no value", help_text)


def _single(option: Option, match: Match, default: object) -> Match | None:
    """Choose the only flag of a dest for a value that is neither its constant nor its default."""
    value, const = option.value.value, getattr(match.action, "const", None)
    if not isinstance(value, bool):
        return match
    if value and not isinstance(const, bool) and const:
        return match
    if not value and not _is_same(default, const):
        return None
    help_text = f"its only flag is {match.flag}: remove it"
    raise _of_value(option, f'"{option.name}" cannot be {str(value).lower()}', help_text)


def _is_same(one: object, other: object) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def default_of(action: argparse.Action, parser: argparse.ArgumentParser) -> object:
    """Return the default of the dest of an action, in the lookup order of argparse."""
    defaults = (other.default for other in argparse_compat.actions_of(parser) if other.dest == action.dest)
    given = [default for default in defaults if default is not argparse.SUPPRESS]
    return given[0] if given else argparse_compat.defaults_of(parser).get(action.dest)


def _switched_off(option: Option, match: Match) -> Iterator[str]:
    """Yield the opposite flag, or nothing if none is needed."""
    action = match.action
    if not isinstance(action, argparse_compat.StoreConstAction):
        return
    others = [
        other
        for other in argparse_compat.actions_of(match.parser)
        if other is not action and other.dest == action.dest and isinstance(other, argparse_compat.StoreConstAction)
    ]
    opposite = next((other for other in others if _is_opposite(action, other)), None)
    if opposite is not None and _is_negation(action, opposite):
        help_text = f'write "{_name(long_flag(opposite))}: true"'
        raise _of_value(option, f"{match.flag} is already negative", help_text)
    if opposite is not None:
        yield long_flag(opposite)
    elif _is_same(default_of(action, match.parser), action.const):
        names = ", ".join(long_flag(other) for other in others)
        help_text = f"write the intended option: {names}" if names else "remove it: the option has no opposite"
        raise _of_value(option, f"{match.flag} is the default and cannot be switched off", help_text)


def _is_opposite(action: argparse.Action, other: argparse.Action) -> bool:
    if isinstance(action.const, bool) and isinstance(other.const, bool):
        return action.const is not other.const
    return _is_negation_of(other, action) or _is_negation_of(action, other)


def _is_negation(action: argparse.Action, opposite: argparse.Action) -> bool:
    return action.const is False or _is_negation_of(action, opposite)


def _is_negation_of(action: argparse.Action, other: argparse.Action) -> bool:
    """Return whether the flags of an action are those of the other one with a "no" prefix."""
    positive = {_name(flag).replace("-", "") for flag in other.option_strings}
    return any(_name(flag).replace("-", "") in {f"no{name}" for name in positive} for flag in action.option_strings)


def _positive_or_negative(option: Option, match: Match) -> str:
    value, negatives = option.value.value, [flag for flag in match.action.option_strings if flag.startswith("--no-")]
    is_negative = match.flag in negatives
    if value is True:
        return match.flag
    if value is False and not is_negative and negatives:
        return negatives[0]
    positive = next((flag for flag in match.action.option_strings if flag not in negatives), "")
    if value is not False:
        raise _of_value(option, f"{match.flag} must be true or false", "write true or false without quotes")
    if is_negative:
        help_text = f'write "{_name(positive)}: true"' if positive else "remove it"
        raise _of_value(option, f"{match.flag} is already negative", help_text)
    raise _of_value(option, f"{match.flag} has no opposite", "remove it")


def _name(flag: str) -> str:
    return flag.lstrip("-+/")


def _of_value(option: Option, message: str, help_text: str) -> OptionError:
    return OptionError(diagnose("RB404", message=message, span=option.value.span, help_text=help_text))
