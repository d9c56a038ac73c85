"""Makes commands for single tests, and binds them without a file."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from django_runbook.binding.argv import Binding, UnboundCommand, Word, bind_command
from django_runbook.binding.catalog import CommandSpec
from django_runbook.binding.checking_parser import CheckingParser
from django_runbook.document.codes import Severity
from django_runbook.document.diagnostics import Diagnostic, Span
from django_runbook.document.runbook import Located, Option

Declare = Callable[[argparse.ArgumentParser], object]
HERE = Span(1, 1, 1, 2)


def argument(*args: Any, **kwargs: Any) -> Declare:
    """Declare one argument."""
    return lambda parser: parser.add_argument(*args, **kwargs)


def command_of(*declares: Declare) -> BaseCommand:
    """Make a command with these arguments."""

    class Command(BaseCommand):
        def add_arguments(self, parser: argparse.ArgumentParser) -> None:
            for declare in declares:
                declare(parser)

    return Command()


def located(value: Any) -> Located:
    """Make a value as read from a file."""
    return Located(value=tuple(map(located, value)) if isinstance(value, list) else value, span=HERE)


def bind(
    command: BaseCommand,
    words: Sequence[str] = (),
    args: Sequence[Any] = (),
    options: Mapping[str, Any] | None = None,
    *,
    databases: Collection[str] = (),
    verbosity: int | None = None,
) -> Binding:
    """Bind a step of the command twice, since a parser must survive being used."""
    spec = CommandSpec(name="command", app="test", parser=CheckingParser(command.create_parser("", "command")))
    invocation = UnboundCommand(
        name="command",
        name_span=HERE,
        words=tuple(Word(text=word, span=HERE) for word in words),
        args=tuple(map(located, args)),
        options=tuple(
            Option(name=name, name_span=HERE, value=located(value)) for name, value in (options or {}).items()
        ),
        verbosity=verbosity,
    )
    binding = bind_command(invocation, spec, databases=databases)
    assert bind_command(invocation, spec, databases=databases) == binding
    return binding


def errors(binding: Binding) -> list[Diagnostic]:
    """Return the errors of a binding."""
    return [item for item in binding.diagnostics if item.severity is Severity.ERROR]


def parsed(command: BaseCommand, tokens: Sequence[str]) -> dict[str, Any] | None:
    """Return the options that ``manage.py`` parses from the tokens; None if it refuses them."""
    try:
        return vars(command.create_parser("", "command").parse_args(list(tokens)))
    except CommandError:
        return None
