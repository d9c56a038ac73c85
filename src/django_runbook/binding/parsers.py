"""Builds the parser of a command for each call, and copies Django's own options into it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandParser

from django_runbook.argparse_compat import ParserTemplate
from django_runbook.structs import MutableStruct, field

PROGRAM: Final = "manage.py"
NewParser = Callable[[BaseCommand, str], CommandParser]


def new_parser(command: BaseCommand, name: str) -> CommandParser:
    """Build a new parser of the command, in the same way for a check and for a call."""
    return command.create_parser(PROGRAM, name)


class ParserSource(MutableStruct, kw_only=False):
    """Returns a new parser for each call of a command, as `new_parser` does.

    The eight options of Django itself, which take nearly all of the time, are built once for each command and copied.
    ``add_arguments`` is called for each parser: its defaults may be lists that a command changes, or the present time.
    """

    _templates: dict[str, tuple[object, ParserTemplate[CommandParser]]] = field(default_factory=dict)

    def new_parser(self, command: BaseCommand, name: str) -> CommandParser:
        """Return a new parser of the command, which shares nothing that can change with any other one."""
        if not _is_created_by_django(command):
            return new_parser(command, name)
        facts = _facts(command)
        known = self._templates.get(name)
        if known is None or known[0] != facts:
            known = self._templates[name] = facts, ParserTemplate(_without_arguments(command, name))
        parser = known[1].copy()
        command.add_arguments(parser)
        return parser


def _is_created_by_django(command: BaseCommand) -> bool:
    methods = (command.create_parser, command.add_base_argument)
    own = (BaseCommand.create_parser, BaseCommand.add_base_argument)
    return tuple(getattr(method, "__func__", None) for method in methods) == own and "add_arguments" not in vars(
        command
    )


def _facts(command: BaseCommand) -> object:
    """Return everything that `BaseCommand.create_parser` asks a command for."""
    asked: Any = command
    return (
        type(asked),
        asked.help,
        asked.get_version(),
        bool(asked.requires_system_checks),
        set(asked.suppressed_base_arguments),
        getattr(asked, "missing_args_message", None),
        getattr(asked, "_called_from_command_line", None),
    )


def _without_arguments(command: BaseCommand, name: str) -> CommandParser:
    """Build the parser with Django's options only; `create_parser` calls ``add_arguments`` last."""
    command.add_arguments = _add_nothing  # type: ignore[method-assign]  # of this one instance
    try:
        return new_parser(command, name)
    finally:
        del command.add_arguments


def _add_nothing(parser: CommandParser) -> None:
    pass
