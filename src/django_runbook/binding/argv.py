"""Binds one command: builds its argv tokens and checks them with the command's own parser."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from django.db import Error as DatabaseError

from django_runbook.binding import injection, option_tokens
from django_runbook.binding.catalog import CommandSpec
from django_runbook.binding.checked import CheckedCommand
from django_runbook.binding.finding import OptionError
from django_runbook.binding.partial_text import UNKNOWN, plain
from django_runbook.binding.unbound import Binding, Piece, Problems, UnboundCommand, Word
from django_runbook.document.diagnostics import diagnose, has_errors
from django_runbook.structs import replace

__all__ = ["Binding", "UnboundCommand", "Word", "bind_command"]


def bind_command(command: UnboundCommand, spec: CommandSpec, *, databases: Collection[str] = ()) -> Binding:
    """Return the tokens of a command and the errors that its parser finds; nothing is opened, printed or changed.

    ``databases`` are the valid values of ``--database``; if it is empty, any value is accepted.
    """
    problems = Problems(command)
    args = list(_positionals(problems))
    try:
        tokens, is_checked = _bind(problems, spec, args, databases)
    except DatabaseError as error:
        spec = replace(spec, parser=None, reason=" ".join(str(error).split()), is_deferred=True)
        tokens, is_checked = _unchecked(problems, spec, args)
    return Binding(
        tokens=tuple(plain(text) for text in tokens), diagnostics=tuple(problems.found), is_checked=is_checked
    )


def _bind(
    problems: Problems, spec: CommandSpec, args: list[Piece], databases: Collection[str]
) -> tuple[Collection[str], bool]:
    injection.refuse_shell(problems)
    injection.refuse_options(problems, spec.parser, args)
    is_garbled = has_errors(item for item in problems.found if item.code in {"RB410", "RB411"})
    if spec.parser is None:
        return _unchecked(problems, spec, args)
    if is_garbled:
        # The parser would report errors of a line that was not intended.
        return (), True
    command = CheckedCommand(problems=problems, spec=spec, parser=spec.parser, args=args, databases=databases)
    if spec.reads_own_argv:
        return command.unchecked(), True
    return command.bound()


def _positionals(problems: Problems) -> Iterator[Piece]:
    for located in problems.command.args:
        try:
            yield Piece(option_tokens.as_token(located, what="a positional argument"), located.span, "arg")
        except OptionError as error:
            problems.found.append(error.diagnostic)
            # The rest is checked as if the value were valid.
            yield Piece(UNKNOWN, located.span, "arg")


def _unchecked(problems: Problems, spec: CommandSpec, args: list[Piece]) -> tuple[Collection[str], bool]:
    command = problems.command
    when = "cannot be checked yet" if spec.is_deferred else "cannot be checked"
    diagnostic = diagnose(
        "RB402" if spec.is_deferred else "RB412",
        message=f'the arguments of "{command.name}" {when}: {spec.reason}',
        span=command.name_span,
        help_text="it will be checked again right before it runs" if spec.is_deferred else "",
    )
    problems.found.append(diagnostic)
    return option_tokens.unchecked_tokens(problems, args, is_deferred=spec.is_deferred), False
