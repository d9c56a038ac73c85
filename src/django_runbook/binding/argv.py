"""One invocation to the argv tokens of its command, held against the command's own parser."""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

from django.db import Error as DatabaseError

from django_runbook.binding import options as spelling
from django_runbook.binding.catalog import CommandSpec
from django_runbook.binding.checking import (
    UNKNOWN,
    CheckingParser,
    Consumption,
    Outcome,
    Refusal,
    is_refused,
    sub_parsers,
    walk,
)
from django_runbook.binding.options import OptionError, Spelled
from django_runbook.document.diagnostics import Diagnostic, Severity, Span, nearest
from django_runbook.document.runbook import Located, Option

_MAX_REFUSALS = 12
_MAX_NAMES = 20
_UNKNOWN_FLAG = re.compile(r'has no option "(.+)"$')
_FLAG = re.compile(r"(?<!\S)--?[^\s,]+")
_REQUIRED = re.compile(r"(?:required|requires?)[^:]*: (.+)")
_VARIABLE = re.compile(r"\$\w+|\$\{\w+\}|\$\(.*\)|`.*`")
# After one of these, what else the parser says is about a line that nobody meant.
_GARBLING = frozenset(("RB410", "RB411"))
_SHELL = frozenset(("&&", "||", "|", ">", ">>", "<", "2>", "2>&1", "&", ";"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """A token of the command line. ``may_be_option`` says that its written form begins with a dash."""

    text: str
    span: Span
    may_be_option: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """What a step hands to its command, with all values known or `UNKNOWN`."""

    name: str
    name_span: Span
    words: tuple[Word, ...] = ()
    args: tuple[Located, ...] = ()
    options: tuple[Option, ...] = ()
    verbosity: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """The tokens after the command's name; they mean nothing where a diagnostic is an error."""

    tokens: tuple[str, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()
    is_checked: bool = True


@dataclass(frozen=True, slots=True)
class _Piece:
    """Tokens that stand together, each with its place; ``intent`` is what they must turn out to be."""

    text: str
    span: Span
    kind: str
    action: argparse.Action | None = None


@dataclass(slots=True)
class _Problems:
    invocation: Invocation
    found: list[Diagnostic] = field(default_factory=list)

    def add(self, code: str, message: str, span: Span, help_text: str = "") -> None:
        self.found.append(Diagnostic(code=code, message=message, span=span, help=help_text))


def bind_invocation(invocation: Invocation, spec: CommandSpec, *, databases: Collection[str] = ()) -> Binding:
    """The tokens for a command and what its parser says against them. Nothing is opened, printed or changed.

    ``databases`` are the aliases that ``--database`` can name; none means that nobody knows them.
    """
    problems = _Problems(invocation)
    _refuse_injected_options(problems)
    _refuse_shell(problems)
    args = list(_positionals(problems))
    if spec.parser is None:
        return _bind_unchecked(problems, spec, args)
    try:
        return _bind_checked(problems, spec.parser, spec, args, databases=databases)
    except DatabaseError as error:
        reason = " ".join(str(error).split())
        return _bind_unchecked(problems, replace(spec, parser=None, reason=reason, is_deferred=True), args)


def _refuse_injected_options(problems: _Problems) -> None:
    for word in problems.invocation.words:
        if word.text.startswith("-") and not word.may_be_option:
            message = f'the value "{word.text}" would become an option'
            problems.add("RB410", message, word.span, 'put it under "args", where every value is a positional argument')


def _refuse_shell(problems: _Problems) -> None:
    for word in problems.invocation.words:
        if word.text in _SHELL:
            help_text = "a step is one management command and no shell: make a step of each command"
            problems.add("RB411", f'"{word.text}" means nothing in a command line', word.span, help_text)
        elif _VARIABLE.fullmatch(word.text):
            help_text = 'write "${{ … }}" for a value of the runbook, or put the text under "args"'
            problems.add("RB411", f'"{word.text}" is not replaced: a step is no shell', word.span, help_text)


def _positionals(problems: _Problems) -> Iterator[_Piece]:
    for located in problems.invocation.args:
        try:
            yield _Piece(spelling.as_token(located, what="a positional argument"), located.span, "arg")
        except OptionError as error:
            problems.found.append(error.diagnostic)
            # The rest is looked at as if the value were right.
            yield _Piece(UNKNOWN, located.span, "arg")


def _spell_unchecked(problems: _Problems, args: list[_Piece]) -> tuple[str, ...]:
    tokens = [word.text for word in problems.invocation.words]
    for option in problems.invocation.options:
        try:
            tokens += spelling.spell_unchecked(option).tokens
        except OptionError as error:
            problems.found.append(error.diagnostic)
    if any(piece.text.startswith("-") for piece in args):
        tokens.append("--")
    return (*tokens, *(piece.text for piece in args))


def _bind_unchecked(problems: _Problems, spec: CommandSpec, args: list[_Piece]) -> Binding:
    invocation = problems.invocation
    tokens = _spell_unchecked(problems, args)
    when = "cannot be checked yet" if spec.is_deferred else "cannot be checked"
    help_text = "it is checked again right before it runs" if spec.is_deferred else ""
    problems.found.append(
        Diagnostic(
            code="RB402" if spec.is_deferred else "RB412",
            message=f'the arguments of "{invocation.name}" {when}: {spec.reason}',
            span=invocation.name_span,
            help=help_text,
            severity=Severity.WARNING,
        )
    )
    return Binding(tokens=tokens, diagnostics=tuple(problems.found), is_checked=False)


def _bind_checked(
    problems: _Problems,
    parser: CheckingParser,
    spec: CommandSpec,
    args: list[_Piece],
    *,
    databases: Collection[str],
) -> Binding:
    invocation = problems.invocation
    if any(problem.code in _GARBLING for problem in problems.found):
        return Binding(diagnostics=tuple(problems.found))
    words = [_Piece(word.text, word.span, "word") for word in invocation.words]
    alone = parser.parse([word.text for word in words])
    plain = parser.parse([piece.text for piece in (*words, *args)]) if args else alone
    if plain.is_cut or any(_has_unknown_name(word) for word in words):
        return _bind_unfinished(problems, args)
    levels = _levels(parser, plain)
    spelled = list(_spell_options(problems, spec, parser, levels, alone))
    has_unspelled = any(option.value.value == UNKNOWN for option in invocation.options)
    layouts = list(_layouts(words, spelled, args, levels=levels, parser=parser))
    values = _values_in_line(words, alone)
    best: list[_Piece] | None = None
    for layout in layouts:
        outcome = parser.parse([piece.text for piece in layout])
        if best is None and (outcome.refusal is None or outcome.refusal.kind != "extra"):
            best = layout
        if outcome.refusal is None and _is_as_meant(layout, outcome) and _values_in_line(layout, outcome) == values:
            _check_database(problems, layout, outcome, databases)
            _tell_absent(problems, layout, outcome)
            tokens = _with_verbosity(invocation, layout, outcome, parser)
            return Binding(tokens=tokens, diagnostics=tuple(problems.found), is_checked=not outcome.absent)
    best = best or layouts[0]
    _explain(problems, parser, best, has_unspelled=has_unspelled)
    if not problems.found and not has_unspelled:
        problems.add(
            "RB408",
            f'"{invocation.name}" cannot be given these values: its parser takes them for something else',
            invocation.name_span,
            "a value that begins with a dash cannot stand where several values are taken",
        )
    return Binding(tokens=tuple(piece.text for piece in best), diagnostics=tuple(problems.found))


def _has_unknown_name(word: _Piece) -> bool:
    return word.text.startswith("--") and UNKNOWN in word.text.partition("=")[0]


def _bind_unfinished(problems: _Problems, args: list[_Piece]) -> Binding:
    """What is shown of a step that is checked right before it runs."""
    return Binding(tokens=_spell_unchecked(problems, args), diagnostics=tuple(problems.found), is_checked=False)


def _tell_absent(problems: _Problems, layout: list[_Piece], outcome: Outcome) -> None:
    for refusal in outcome.absent:
        span = layout[refusal.indices[0]].span if refusal.indices else problems.invocation.name_span
        problems.found.append(
            Diagnostic(
                code="RB402",
                message=f"{_name_of(refusal.action)} cannot be checked yet: {refusal.message}",
                span=span,
                help="it is checked again right before it runs",
                severity=Severity.WARNING,
            )
        )


def _check_database(problems: _Problems, layout: list[_Piece], outcome: Outcome, databases: Collection[str]) -> None:
    for consumed in outcome.consumptions:
        if not databases or not _names_database(consumed.action, databases):
            continue
        for text, index in zip(consumed.texts, consumed.indices, strict=False):
            if text not in databases and UNKNOWN not in text:
                near = nearest(text, databases)
                help_text = f'"{near}" is near' if near else f"the aliases are: {', '.join(databases)}"
                problems.add("RB416", f'there is no database "{text}"', layout[index].span, help_text)


def _names_database(action: argparse.Action, databases: Collection[str]) -> bool:
    """Whether its values are aliases: ``--database`` can be a file or a list of names for other commands."""
    defaults = action.default if isinstance(action.default, list | tuple) else (action.default,)
    return action.dest == "database" and all(default in databases for default in defaults)


def _with_verbosity(
    invocation: Invocation, layout: list[_Piece], outcome: Outcome, parser: CheckingParser
) -> tuple[str, ...]:
    """The tokens with the verbosity of the run, where the step says nothing about its own."""
    tokens = tuple(piece.text for piece in layout)
    if invocation.verbosity is None or "--verbosity" not in parser.root._option_string_actions:
        return tokens
    given = [consumed for consumed in outcome.consumptions if consumed.action.dest == "verbosity"]
    terminators = [index for index, piece in enumerate(layout) if piece.kind == "terminator"]
    if any(not set(consumed.indices) <= set(terminators) or not consumed.indices for consumed in given):
        return tokens
    wanted = f"--verbosity={invocation.verbosity}"
    if not terminators:
        return (wanted, *tokens)
    return tuple(wanted if index in terminators else text for index, text in enumerate(tokens))


@dataclass(frozen=True, slots=True)
class _Level:
    """A parser that takes part: the root, then each chosen sub-command with the place of its token."""

    parser: argparse.ArgumentParser
    position: int


def _levels(parser: CheckingParser, plain: Outcome) -> list[_Level]:
    levels = [_Level(parser.root, -1)]
    for consumed in plain.consumptions:
        choices = sub_parsers(consumed.action)
        chosen = choices.get(consumed.texts[0]) if choices and consumed.texts else None
        if chosen is not None and consumed.indices:
            levels.append(_Level(chosen, consumed.indices[0]))
    return levels


def _spell_options(
    problems: _Problems, spec: CommandSpec, parser: CheckingParser, levels: list[_Level], alone: Outcome
) -> Iterator[tuple[int, Spelled]]:
    """Each option with the level that it belongs to."""
    in_line = {id(consumed.action) for consumed in alone.consumptions if consumed.action.option_strings}
    seen: dict[int, Option] = {}
    for option in problems.invocation.options:
        found = next(
            (
                (level, matches)
                for level in reversed(range(len(levels)))
                if (matches := spelling.find(option, levels[level].parser))
            ),
            None,
        )
        if found is None:
            problems.found.append(_unknown_option(option, spec, parser, levels))
            continue
        if any(is_refused(match.action, is_root=levels[found[0]].parser is parser.root) for match in found[1]):
            help_text = "a runbook runs with the settings of run_runbook"
            problems.add("RB406", f'"{option.name}" has no meaning in a runbook', option.name_span, help_text)
            continue
        try:
            spelled = spelling.spell(option, found[1])
        except OptionError as error:
            problems.found.append(error.diagnostic)
            continue
        action = spelled.action
        if action is not None and not spelling.is_repeatable(action) and (id(action) in in_line or id(action) in seen):
            where = "on the command line too" if id(action) in in_line else f'as "{seen[id(action)].name}" too'
            problems.add("RB409", f'"{option.name}" is given {where}', option.name_span, "give it once")
            continue
        if action is not None:
            seen[id(action)] = option
        yield found[0], spelled


def _unknown_option(option: Option, spec: CommandSpec, parser: CheckingParser, levels: list[_Level]) -> Diagnostic:
    for other in walk(parser.root):
        if all(other is not level.parser for level in levels) and spelling.find(option, other):
            names = [
                name
                for one in walk(parser.root)
                for action in one._actions
                for name, sub in sub_parsers(action).items()
                if sub is other
            ]
            return Diagnostic(
                code="RB403",
                message=f'"{option.name}" is an option of the sub-command "{names[0] if names else other.prog}"',
                span=option.name_span,
                help="name that sub-command in the command line",
            )
    return spelling.unknown(
        option, command=spec.name, parsers=[level.parser for level in levels], stealth=spec.stealth_options
    )


def _layouts(
    words: list[_Piece],
    spelled: list[tuple[int, Spelled]],
    args: list[_Piece],
    *,
    levels: list[_Level],
    parser: CheckingParser,
) -> Iterator[list[_Piece]]:
    """The orders in which the tokens can stand, the most natural one first; the parser says which one is right."""
    if not spelled and not args:
        yield words
        return
    tails = list(_tails(args))
    for is_after in (True, False):
        for terminator in ("", "--verbosity", "--"):
            for tail in tails:
                layout = _compose(words, spelled, tail, levels=levels, is_after=is_after, terminator=terminator)
                if layout is not None:
                    yield layout


def _tails(args: list[_Piece]) -> Iterator[list[_Piece]]:
    yield args
    dashed = next((index for index, piece in enumerate(args) if piece.text.startswith("-")), None)
    if dashed is not None:
        yield [*args[:dashed], _separator(args[dashed]), *args[dashed:]]
    # The last resort: a word in front would take the values.
    if args and dashed != 0:
        yield [_separator(args[0]), *args]


def _separator(piece: _Piece) -> _Piece:
    return _Piece("--", piece.span, "separator")


def _compose(
    words: list[_Piece],
    spelled: list[tuple[int, Spelled]],
    tail: list[_Piece],
    *,
    levels: list[_Level],
    is_after: bool,
    terminator: str,
) -> list[_Piece] | None:
    pieces = [*words, *tail]
    takes_rest = any(option.takes_rest for _, option in spelled)
    if terminator and not takes_rest:
        return None
    # From the innermost level outwards, so that the places of the outer ones stay true.
    for level in reversed(range(len(levels))):
        own = sorted((option for at, option in spelled if at == level), key=_greed)
        tokens = [
            _Piece(text, span, "option", option.action)
            for option in own
            for text, span in zip(option.tokens, option.spans, strict=True)
        ]
        if not tokens:
            continue
        is_last = level == len(levels) - 1
        position = len(words) if is_after and is_last else levels[level].position + 1
        if terminator and any(option.takes_rest for option in own):
            verbosity = levels[level].parser._option_string_actions.get("--verbosity")
            if terminator == "--verbosity" and verbosity is not None:
                tokens.append(_Piece(f"--verbosity={verbosity.default}", tokens[-1].span, "terminator"))
            else:
                tokens.append(_Piece("--", tokens[-1].span, "separator"))
        pieces[position:position] = tokens
    return pieces


def _greed(option: Spelled) -> int:
    """What takes several values stands before what ends it; what takes all the rest stands last."""
    if option.action is not None and option.action.nargs == argparse.REMAINDER:
        return 2
    return 0 if option.takes_rest else 1


def _is_as_meant(layout: list[_Piece], outcome: Outcome) -> bool:
    """Whether every token was taken for what it was written as."""
    kinds = [piece.kind for piece in layout]
    args = {index for index, kind in enumerate(kinds) if kind == "arg"}
    if any(layout[index].text == "--" and "separator" not in kinds[:index] for index in args):
        return False
    if any(_is_misread(layout[index], by) for by in outcome.consumptions for index in by.indices):
        return False
    positional = {index for by in outcome.consumptions if not by.action.option_strings for index in by.indices}
    wanted = {id(piece.action) for piece in layout if piece.kind == "option" and piece.action is not None}
    taken = {id(by.action) for by in outcome.consumptions if by.action.option_strings}
    return args <= positional and wanted <= taken


def _values_in_line(pieces: list[_Piece], outcome: Outcome) -> dict[int, int]:
    """The option that takes a word of the command line, by the number of the word."""
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


def _is_misread(piece: _Piece, by: Consumption) -> bool:
    is_positional = not by.action.option_strings
    match piece.kind:
        case "arg":
            return not is_positional
        case "option" if not is_positional:
            return by.action is not piece.action
        case "option" | "terminator":
            return is_positional and not sub_parsers(by.action)
        case "separator":
            return by.action.nargs == argparse.REMAINDER
    return False


def _explain(problems: _Problems, parser: CheckingParser, layout: list[_Piece], *, has_unspelled: bool) -> None:
    """Why the parser refuses the tokens: what is told is taken out, so that the next reason is found as well."""
    pieces = list(layout)
    relaxed: list[argparse.Action] = []
    is_named = bool(problems.found)
    try:
        for _ in range(_MAX_REFUSALS):
            refusal = parser.parse([piece.text for piece in pieces]).refusal
            if refusal is None:
                return
            dropped = _tell(problems, parser, pieces, refusal, relaxed=relaxed, is_quiet=is_named or has_unspelled)
            if dropped is None:
                return
            pieces = [piece for index, piece in enumerate(pieces) if index not in dropped]
            is_named = is_named or refusal.kind == "extra"
    finally:
        for action in relaxed:
            action.required = True
        problems.found = list(_without_follow_ups(problems.found))


def _without_follow_ups(found: list[Diagnostic]) -> Iterator[Diagnostic]:
    """Leave out that an option is missing where it stands there misspelt, which is told already."""
    unknown = [match[1] for item in found if item.code == "RB403" and (match := _UNKNOWN_FLAG.search(item.message))]
    for item in found:
        flags = _FLAG.findall(item.message) if item.code == "RB413" else []
        is_misspelt = any(flag.startswith(word) or nearest(word, [flag]) for flag in flags for word in unknown)
        if not is_misspelt:
            yield item


def _tell(
    problems: _Problems,
    parser: CheckingParser,
    pieces: list[_Piece],
    refusal: Refusal,
    *,
    relaxed: list[argparse.Action],
    is_quiet: bool,
) -> set[int] | None:
    """Report a refusal; returns the places to leave out before the next look, None when no look is worth it."""
    invocation = problems.invocation
    if refusal.kind == "required":
        return _tell_required(problems, parser, refusal, relaxed=relaxed, is_quiet=is_quiet)
    is_conflict = "not allowed with" in refusal.message
    flags = _indices_of(refusal.action, pieces)
    indices = (flags | set(refusal.indices) if is_conflict else set(refusal.indices)) or flags
    first = min(indices, default=None)
    span = pieces[first].span if first is not None else invocation.name_span
    if refusal.kind == "extra":
        # What follows an unknown option is likely its value.
        options = [index for index in indices if pieces[index].text.startswith("-")]
        for index in sorted(options or indices):
            problems.found.append(_unrecognized(pieces[index], invocation, parser))
        return indices or None
    what = _name_of(refusal.action)
    dashed = next((piece for piece in pieces if _is_dashed_value(piece, refusal)), None)
    if dashed is not None:
        message = f'"{dashed.text}" begins with a dash and would be taken for an option'
        problems.add("RB408", message, dashed.span, f"{what} takes several values, which cannot begin with one")
        return {index for index, piece in enumerate(pieces) if piece.action is refusal.action}
    if refusal.kind == "refused":
        problems.add(
            "RB406", f"{what} has no meaning in a runbook", span, "a runbook runs with the settings of run_runbook"
        )
    else:
        message, help_text = _value_message(refusal, what)
        problems.add("RB404", message, span, help_text)
        if refusal.indices and not is_conflict:
            return _forgive(pieces, refusal)
    if refusal.action is not None and refusal.action.required:
        refusal.action.required = False
        relaxed.append(refusal.action)
    if not indices:
        return None
    return indices | _whole_option(refusal.action, pieces, indices)


def _forgive(pieces: list[_Piece], refusal: Refusal) -> set[int] | None:
    """Put in the place of a wrong value one that nobody knows, so that what stands around it can be looked at."""
    flags = refusal.action.option_strings if refusal.action is not None else ()
    before = [piece.text for piece in pieces]
    for index in refusal.indices:
        text = pieces[index].text
        joined = next((flag for flag in flags if text.startswith(f"{flag}=")), None)
        short = next((flag for flag in flags if not flag.startswith("--") and text.startswith(flag)), "")
        pieces[index] = replace(pieces[index], text=f"{joined}={UNKNOWN}" if joined else f"{short}{UNKNOWN}")
    return set() if [piece.text for piece in pieces] != before else None


def _tell_required(
    problems: _Problems, parser: CheckingParser, refusal: Refusal, *, relaxed: list[argparse.Action], is_quiet: bool
) -> set[int] | None:
    match = _REQUIRED.search(refusal.message)
    names = match[1].split(", ") if match else []
    actions = [
        action
        for one in walk(parser.root)
        for action in one._actions
        if action.required and argparse._get_action_name(action) in names
    ]
    if not is_quiet:
        listed = ", ".join(_name_of(action) for action in actions) or refusal.message
        positional = [action for action in actions if not action.option_strings]
        message = f'"{problems.invocation.name}" needs {listed}' if actions else _sentence(refusal.message)
        help_text = (
            'add it to the command line or to "args"' if positional else 'add it to the command line or to "options"'
        )
        problems.add("RB413", message, problems.invocation.name_span, help_text)
    for action in actions:
        action.required = False
        relaxed.append(action)
    return set() if actions else None


def _is_dashed_value(piece: _Piece, refusal: Refusal) -> bool:
    """Whether it is a value of an option that lacks values."""
    action = refusal.action
    if action is None or piece.action is not action or refusal.indices or "expected" not in refusal.message:
        return False
    return piece.text.startswith("-") and not any(_is_flag(piece.text, flag) for flag in action.option_strings)


def _sentence(message: str) -> str:
    return message.removeprefix("Error: ").rstrip(".")


def _indices_of(action: argparse.Action | None, pieces: list[_Piece]) -> set[int]:
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


def _whole_option(action: argparse.Action | None, pieces: list[_Piece], indices: set[int]) -> set[int]:
    """The flag in front of a wrong value, and all values of the same option."""
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
        near = nearest(value, names)
        help_text = f'"{near}" is near; ' if near else ""
        listed = ", ".join(names[:_MAX_NAMES]) + (", …" if len(names) > _MAX_NAMES else "")
        return f'{what} cannot be "{value}"', f"{help_text}choose from {listed}" if names else ""
    if refusal.kind == "crash":
        return f"the command's own check failed: {message}", ""
    return f"{what}: {message}", ""


def _name_of(action: argparse.Action | None) -> str:
    if action is None:
        return "the argument"
    if action.option_strings:
        return next((flag for flag in action.option_strings if flag.startswith("--")), action.option_strings[0])
    name = action.metavar or action.dest
    return f'"{name}"' if isinstance(name, str) else str(action.dest)


def _unrecognized(piece: _Piece, invocation: Invocation, parser: CheckingParser) -> Diagnostic:
    flag = piece.text.split("=", 1)[0]
    if flag.startswith("-") and piece.kind != "word":
        message = f'"{piece.text}" begins with a dash and would be taken for an option'
        help_text = "an option that takes several values cannot be given such a value"
        return Diagnostic(code="RB408", message=message, span=piece.span, help=help_text)
    if not flag.startswith("-"):
        message = f'"{invocation.name}" takes no further argument "{piece.text}"'
        return Diagnostic(code="RB414", message=message, span=piece.span, help="leave it out")
    flags = sorted(
        {
            name
            for one in walk(parser.root)
            for name, action in one._option_string_actions.items()
            if not is_refused(action, is_root=one is parser.root)
        }
    )
    whole = [name for name in flags if name.startswith(flag)]
    near = whole[0] if whole else nearest(flag, flags)
    help_text = (
        f'"{near}" is near' if near else f"its options are: {', '.join(flag for flag in flags if len(flag) > 2)}"
    )
    if whole:
        help_text = f"write it in full: {', '.join(whole)}"
    span = _first_part(piece.span, len(flag)) if piece.kind == "word" else piece.span
    return Diagnostic(code="RB403", message=f'"{invocation.name}" has no option "{flag}"', span=span, help=help_text)


def _first_part(span: Span, length: int) -> Span:
    if span.line != span.end_line or span.column + length > span.end_column:
        return span
    return Span(span.line, span.column, span.line, span.column + length)
