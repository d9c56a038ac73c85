"""Names and native values of ``options`` to the tokens that the command line would have for them."""

from __future__ import annotations

import argparse
import datetime
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django_runbook.binding.checking import UNKNOWN
from django_runbook.document.diagnostics import Diagnostic, Span, nearest
from django_runbook.document.runbook import Located, Option

_REFUSED = frozenset(("help", "version", "settings", "pythonpath"))
_REPEATABLE = (argparse._AppendAction, argparse._ExtendAction)
_SEVERAL = ("+", "*", argparse.REMAINDER)


class OptionError(Exception):
    """An option cannot be handed to the command."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


@dataclass(frozen=True, slots=True, kw_only=True)
class Spelled:
    """An option as tokens; ``spans`` gives the place of each. ``takes_rest`` says that it swallows what follows."""

    option: Option
    action: argparse.Action | None
    tokens: tuple[str, ...]
    spans: tuple[Span, ...]
    takes_rest: bool = False


@dataclass(frozen=True, slots=True)
class _Match:
    action: argparse.Action
    flag: str
    is_by_dest: bool = False


def find(option: Option, parser: argparse.ArgumentParser) -> list[_Match]:
    """The actions of one parser that an option name means: by its spelling, else by its dest."""
    by_flag = _find_by_flag(option.name, parser)
    if by_flag is not None:
        return [by_flag]
    dest = option.name.replace("-", "_")
    return [
        _Match(action, _long_flag(action), is_by_dest=True)
        for action in parser._actions
        if action.option_strings and action.dest in {dest, option.name}
    ]


def _find_by_flag(name: str, parser: argparse.ArgumentParser) -> _Match | None:
    bare = name.lstrip("-")
    spellings = [name, f"--{bare}", f"-{bare}", f"--{bare.replace('_', '-')}", f"--{bare.replace('-', '_')}"]
    for spelling in spellings:
        action = parser._option_string_actions.get(spelling)
        if action is not None and spelling.startswith("-"):
            return _Match(action, spelling)
    return None


def _long_flag(action: argparse.Action) -> str:
    return next((flag for flag in action.option_strings if flag.startswith("--")), action.option_strings[0])


def spell(option: Option, matches: Sequence[_Match]) -> Spelled:
    """The tokens of an option that was found; raises OptionError."""
    match = matches[0]
    if len(matches) > 1 or (match.is_by_dest and match.action.nargs == 0):
        chosen = _by_constant(option, matches)
        if chosen is None:
            return Spelled(option=option, action=match.action, tokens=(), spans=())
        match = chosen
    if match.action.nargs == 0:
        tokens = tuple(_spell_flag(option, match))
        return Spelled(option=option, action=match.action, tokens=tokens, spans=(option.name_span,) * len(tokens))
    return _spell_value(option, match)


def _by_constant(option: Option, matches: Sequence[_Match]) -> _Match | None:
    """The flag that gives a dest the wanted value; None where the value is what the dest has anyhow."""
    value = option.value.value
    flags = [match for match in matches if match.action.nargs == 0]
    if isinstance(value, str) and value == UNKNOWN:
        return None
    if len(flags) == len(matches):
        for match in flags:
            if isinstance(match.action, argparse.BooleanOptionalAction | argparse._CountAction):
                return match
            if _is_same(getattr(match.action, "const", None), value):
                return match
        if any(_is_same(match.action.default, value) for match in flags):
            return None
        if len(flags) == 1 and isinstance(value, bool):
            return flags[0] if value else None
    if len(matches) == 1:
        return matches[0]
    names = ", ".join(match.flag for match in matches)
    message = f'"{option.name}" could mean {names}'
    raise OptionError(Diagnostic(code="RB407", message=message, span=option.name_span, help="write the one you mean"))


def _is_same(one: object, other: object) -> bool:
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def _spell_flag(option: Option, match: _Match) -> Iterator[str]:
    value, action = option.value.value, match.action
    if isinstance(value, str) and value == UNKNOWN:
        return
    if isinstance(action, argparse._CountAction) and type(value) is int and 0 <= value <= 100:
        yield from [match.flag] * value
    elif isinstance(action, argparse._CountAction) and not isinstance(value, bool):
        raise _of_value(option, f"{match.flag} takes how often it stands", "write a number from 0 to 100")
    elif isinstance(action, argparse.BooleanOptionalAction):
        yield _positive_or_negative(option, match)
    elif value is True or _is_wanted_by_dest(match, value):
        yield match.flag
    elif value is not False:
        help_text = f'write "{match.flag.lstrip("-")}: true" for {match.flag}, or leave it out'
        raise _of_value(option, f"{match.flag} takes no value", help_text)


def _of_value(option: Option, message: str, help_text: str) -> OptionError:
    return OptionError(Diagnostic(code="RB404", message=message, span=option.value.span, help=help_text))


def _is_wanted_by_dest(match: _Match, value: object) -> bool:
    return match.is_by_dest and _is_same(getattr(match.action, "const", None), value)


def _positive_or_negative(option: Option, match: _Match) -> str:
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
        help_text = f'write "{positive.lstrip("-")}: true"' if positive else "leave it out"
        raise _of_value(option, f"{match.flag} is a denial already", help_text)
    raise _of_value(option, f"{match.flag} has no opposite", "leave it out")


def _spell_value(option: Option, match: _Match) -> Spelled:
    action, flag, located = match.action, match.flag, option.value
    takes_several = action.nargs in _SEVERAL or isinstance(action.nargs, int)
    if action.nargs == "?" and isinstance(located.value, bool):
        tokens = (flag,) if located.value else ()
        spans = (option.name_span,) * len(tokens)
        return Spelled(option=option, action=action, tokens=tokens, spans=spans, takes_rest=bool(tokens))
    if isinstance(located.value, tuple):
        return _spell_list(option, match, located.value, takes_several=takes_several)
    if takes_several and not (isinstance(located.value, str) and located.value.startswith("-")):
        times = action.nargs if isinstance(action.nargs, int) and located.value == UNKNOWN else 1
        text = as_token(located, what=flag)
        return Spelled(
            option=option,
            action=action,
            tokens=(flag, *[text] * times),
            spans=(option.name_span, *[located.span] * times),
            takes_rest=action.nargs in _SEVERAL,
        )
    # Joined, so that a value may begin with a dash.
    token = f"{flag}={as_token(located, what=flag)}"
    return Spelled(option=option, action=action, tokens=(token,), spans=(located.span,))


def _spell_list(option: Option, match: _Match, items: Sequence[Located], *, takes_several: bool) -> Spelled:
    action, flag = match.action, match.flag
    nested = [item for item in items if isinstance(item.value, tuple)]
    if takes_several and not nested:
        texts = [as_token(item, what=flag) for item in items]
        if not texts and action.nargs == "+":
            raise _needs_value(option, flag)
        is_dashed = any(text.startswith("-") for text in texts)
        if is_dashed and (len(items) == 1 or isinstance(action, argparse._ExtendAction)):
            # Joined, so that the value may begin with a dash.
            tokens = tuple(f"{flag}={text}" for text in texts)
            return Spelled(option=option, action=action, tokens=tokens, spans=tuple(item.span for item in items))
        return Spelled(
            option=option,
            action=action,
            tokens=(flag, *texts),
            spans=(option.name_span, *(item.span for item in items)),
            takes_rest=action.nargs in _SEVERAL,
        )
    if isinstance(action, argparse._StoreAction) and len(items) != 1:
        help_text = "give one value" if items else "give a value, or leave the option out"
        message = f"{flag} takes one value, not {len(items)}"
        raise OptionError(Diagnostic(code="RB404", message=message, span=option.value.span, help=help_text))
    parts = [_spell_value(Option(name=option.name, name_span=option.name_span, value=item), match) for item in items]
    return Spelled(
        option=option,
        action=action,
        tokens=tuple(token for part in parts for token in part.tokens),
        spans=tuple(span for part in parts for span in part.spans),
        takes_rest=bool(parts) and parts[-1].takes_rest,
    )


def _needs_value(option: Option, flag: str) -> OptionError:
    message = f"{flag} needs at least one value"
    return OptionError(
        Diagnostic(code="RB404", message=message, span=option.value.span, help="give a value, or leave it out")
    )


def is_repeatable(action: argparse.Action) -> bool:
    """Whether the option may stand more than once on a command line with a meaning."""
    single = (argparse._StoreAction, argparse._StoreConstAction, argparse.BooleanOptionalAction)
    return isinstance(action, _REPEATABLE) or not isinstance(action, single)


def as_token(located: Located, *, what: str) -> str:
    """A scalar as the text of a token; raises OptionError for what has no text."""
    value = located.value
    match value:
        case str():
            return value
        case bool():
            help_text = f'write "{str(value).lower()}" in quotes to pass it as text'
            message = f"{what} takes a value, not true or false"
        case int() | float():
            return located.text or repr(value)
        case datetime.date():
            return value.isoformat()
        case None:
            message, help_text = f"{what} has an empty value", 'write "" for an empty text, or leave it out'
        case _:
            message, help_text = f"{what} takes a text or a number", "write the value as text"
    raise OptionError(Diagnostic(code="RB404", message=message, span=located.span, help=help_text))


def spell_unchecked(option: Option) -> Spelled:
    """The usual spelling, for a command whose parser cannot be asked."""
    flag = option.name if option.name.startswith("-") else f"--{option.name.replace('_', '-')}"
    value = option.value.value
    if isinstance(value, bool):
        alone = (flag,) if value else ()
        return Spelled(option=option, action=None, tokens=alone, spans=(option.name_span,) * len(alone))
    items = value if isinstance(value, tuple) else (option.value,)
    tokens = tuple(f"{flag}={as_token(item, what=flag)}" for item in items)
    return Spelled(option=option, action=None, tokens=tokens, spans=tuple(item.span for item in items))


def unknown(
    option: Option, *, command: str, parsers: Iterable[argparse.ArgumentParser], stealth: Iterable[str]
) -> Diagnostic:
    """What is said of an option that the command does not have."""
    actions = [action for parser in parsers for action in parser._actions]
    name = option.name.lstrip("-").replace("-", "_")
    message = f'"{command}" has no option "{option.name}"'
    if any(action.dest == name and not action.option_strings for action in actions):
        return Diagnostic(
            code="RB405",
            message=f'"{option.name}" is a positional argument of "{command}"',
            span=option.name_span,
            help='put its value under "args"',
        )
    if name in stealth:
        help_text = "it can be set by Python code only, not from a command line"
        return Diagnostic(code="RB403", message=message, span=option.name_span, help=help_text)
    flags = {flag.lstrip("-"): flag for action in actions for flag in action.option_strings if flag.startswith("--")}
    names = sorted(flag for flag in flags if flag not in _REFUSED)
    near = nearest(option.name.lstrip("-").replace("_", "-"), names)
    help_text = f'"{near}" is near' if near else f"its options are: {', '.join(names)}"
    return Diagnostic(code="RB403", message=message, span=option.name_span, help=help_text)
