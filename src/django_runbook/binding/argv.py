"""One invocation to the argv tokens of its command, held against the command's own parser."""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Iterator
from dataclasses import replace

from django.db import Error as DatabaseError

from django_runbook.binding import options as spelling
from django_runbook.binding.catalog import CommandSpec
from django_runbook.binding.checking import UNKNOWN, CheckingParser, Outcome, is_refused, sub_parsers, walk
from django_runbook.binding.invocation import Binding, Invocation, Piece, Problems, Word
from django_runbook.binding.layouts import Level, is_as_meant, layouts, levels_of, values_in_line
from django_runbook.binding.options import OptionError, Spelled
from django_runbook.binding.refusals import explain, name_of
from django_runbook.document.diagnostics import Diagnostic, Severity, nearest
from django_runbook.document.runbook import Option

__all__ = ["Binding", "Invocation", "Word", "bind_invocation"]

_VARIABLE = re.compile(r"\$\w+|\$\{\w+\}|\$\(.*\)|`.*`")
# After one of these, what else the parser says is about a line that nobody meant.
_GARBLING = frozenset(("RB410", "RB411"))
_SHELL = frozenset(("&&", "||", "|", ">", ">>", "<", "2>", "2>&1", "&", ";"))


def bind_invocation(invocation: Invocation, spec: CommandSpec, *, databases: Collection[str] = ()) -> Binding:
    """The tokens for a command and what its parser says against them. Nothing is opened, printed or changed.

    ``databases`` are the aliases that ``--database`` can name; none means that nobody knows them.
    """
    problems = Problems(invocation)
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


def _refuse_injected_options(problems: Problems) -> None:
    for word in problems.invocation.words:
        if word.text.startswith("-") and not word.may_be_option:
            message = f'the value "{word.text}" would become an option'
            problems.add("RB410", message, word.span, 'put it under "args", where every value is a positional argument')


def _refuse_shell(problems: Problems) -> None:
    for word in problems.invocation.words:
        if word.text in _SHELL:
            help_text = "a step is one management command and no shell: make a step of each command"
            problems.add("RB411", f'"{word.text}" means nothing in a command line', word.span, help_text)
        elif _VARIABLE.fullmatch(word.text):
            help_text = 'write "${{ … }}" for a value of the runbook, or put the text under "args"'
            problems.add("RB411", f'"{word.text}" is not replaced: a step is no shell', word.span, help_text)


def _positionals(problems: Problems) -> Iterator[Piece]:
    for located in problems.invocation.args:
        try:
            yield Piece(spelling.as_token(located, what="a positional argument"), located.span, "arg")
        except OptionError as error:
            problems.found.append(error.diagnostic)
            # The rest is looked at as if the value were right.
            yield Piece(UNKNOWN, located.span, "arg")


def _spell_unchecked(problems: Problems, args: list[Piece]) -> tuple[str, ...]:
    tokens = [word.text for word in problems.invocation.words]
    for option in problems.invocation.options:
        try:
            tokens += spelling.spell_unchecked(option).tokens
        except OptionError as error:
            problems.found.append(error.diagnostic)
    if any(piece.text.startswith("-") for piece in args):
        tokens.append("--")
    return (*tokens, *(piece.text for piece in args))


def _bind_unchecked(problems: Problems, spec: CommandSpec, args: list[Piece]) -> Binding:
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
    problems: Problems,
    parser: CheckingParser,
    spec: CommandSpec,
    args: list[Piece],
    *,
    databases: Collection[str],
) -> Binding:
    invocation = problems.invocation
    if any(problem.code in _GARBLING for problem in problems.found):
        return Binding(diagnostics=tuple(problems.found))
    words = [Piece(word.text, word.span, "word") for word in invocation.words]
    alone = parser.parse([word.text for word in words])
    plain = parser.parse([piece.text for piece in (*words, *args)]) if args else alone
    if plain.is_cut or any(_has_unknown_name(word) for word in words):
        return _bind_unfinished(problems, args)
    levels = levels_of(parser, plain)
    spelled = list(_spell_options(problems, spec, parser, levels, alone))
    has_unspelled = any(option.value.value == UNKNOWN for option in invocation.options)
    orders = list(layouts(words, spelled, args, levels=levels, parser=parser))
    values = values_in_line(words, alone)
    best: list[Piece] | None = None
    for layout in orders:
        outcome = parser.parse([piece.text for piece in layout])
        if best is None and (outcome.refusal is None or outcome.refusal.kind != "extra"):
            best = layout
        if outcome.refusal is None and is_as_meant(layout, outcome) and values_in_line(layout, outcome) == values:
            _check_database(problems, layout, outcome, databases)
            _tell_absent(problems, layout, outcome)
            tokens = _with_verbosity(invocation, layout, outcome, parser)
            return Binding(tokens=tokens, diagnostics=tuple(problems.found), is_checked=not outcome.absent)
    best = best or orders[0]
    explain(problems, parser, best, has_unspelled=has_unspelled)
    if not problems.found and not has_unspelled:
        problems.add(
            "RB408",
            f'"{invocation.name}" cannot be given these values: its parser takes them for something else',
            invocation.name_span,
            "a value that begins with a dash cannot stand where several values are taken",
        )
    return Binding(tokens=tuple(piece.text for piece in best), diagnostics=tuple(problems.found))


def _has_unknown_name(word: Piece) -> bool:
    return word.text.startswith("--") and UNKNOWN in word.text.partition("=")[0]


def _bind_unfinished(problems: Problems, args: list[Piece]) -> Binding:
    """What is shown of a step that is checked right before it runs."""
    return Binding(tokens=_spell_unchecked(problems, args), diagnostics=tuple(problems.found), is_checked=False)


def _tell_absent(problems: Problems, layout: list[Piece], outcome: Outcome) -> None:
    for refusal in outcome.absent:
        span = layout[refusal.indices[0]].span if refusal.indices else problems.invocation.name_span
        problems.found.append(
            Diagnostic(
                code="RB402",
                message=f"{name_of(refusal.action)} cannot be checked yet: {refusal.message}",
                span=span,
                help="it is checked again right before it runs",
                severity=Severity.WARNING,
            )
        )


def _check_database(problems: Problems, layout: list[Piece], outcome: Outcome, databases: Collection[str]) -> None:
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
    invocation: Invocation, layout: list[Piece], outcome: Outcome, parser: CheckingParser
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


def _spell_options(
    problems: Problems, spec: CommandSpec, parser: CheckingParser, levels: list[Level], alone: Outcome
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


def _unknown_option(option: Option, spec: CommandSpec, parser: CheckingParser, levels: list[Level]) -> Diagnostic:
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
