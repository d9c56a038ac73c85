"""Loads management commands by name, and builds the parsers that check their arguments."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from functools import cached_property

from django.core.management import get_commands, load_command_class
from django.core.management.base import BaseCommand
from django.db import Error as DatabaseError

from django_runbook.argparse_compat import flags_of
from django_runbook.binding.checking_parser import CheckingParser, walk
from django_runbook.binding.parsers import new_parser
from django_runbook.binding.quiet import quiet
from django_runbook.exceptions import in_words
from django_runbook.structs import Struct


class CommandSpec(Struct):
    """Describes a command. ``parser`` is None if its arguments cannot be checked, for the ``reason``.

    ``is_deferred`` means that a later check may succeed, for example once a table exists. ``is_batch`` marks a command
    that commits batch by batch and resumes after its last batch. ``reads_own_argv`` marks a command that may bypass its
    parser.
    """

    name: str
    app: str
    parser: CheckingParser | None
    stealth_options: tuple[str, ...] = ()
    reason: str = ""
    is_deferred: bool = False
    is_batch: bool = False
    reads_own_argv: bool = False


class UnknownCommandError(LookupError):
    """Reports that no installed app has the command."""


class BrokenCommandError(Exception):
    """Reports in one line why a command cannot be loaded, or its parser cannot be built."""


class Catalog:
    """Holds the management commands of the project; loads each command and builds its parser once."""

    def __init__(self) -> None:
        self._specs: dict[str, CommandSpec] = {}
        self._broken: dict[str, BrokenCommandError] = {}

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Map each command to its app."""
        return {
            name: app if isinstance(app, str) else type(app).__module__.split(".management.")[0]
            for name, app in get_commands().items()
        }

    def get(self, name: str) -> CommandSpec:
        """Return the command of this name; raise UnknownCommandError or BrokenCommandError."""
        if name in self._specs:
            return self._specs[name]
        if name in self._broken:
            raise self._broken[name]
        if name not in self.names:
            raise UnknownCommandError(name)
        try:
            spec = self._load(name)
        except BrokenCommandError as error:
            self._broken[name] = error
            raise
        if not spec.is_deferred:
            self._specs[name] = spec
        return spec

    def has_option(self, name: str, flag: str, *, default: bool) -> bool:
        """Return whether a command, or one of its subcommands, has an option; ``default`` if it cannot be known."""
        try:
            parser = self.get(name).parser
        except (UnknownCommandError, BrokenCommandError):
            return default
        return default if parser is None else any(flag in flags_of(one) for one in walk(parser.root))

    def _load(self, name: str) -> CommandSpec:
        app = self.names[name]
        try:
            with quiet():
                command = load(name)
                parser = new_parser(command, name)
        except (Exception, SystemExit) as error:
            if (reason := _of_database(error)) is not None:
                return CommandSpec(name=name, app=app, parser=None, reason=in_words(reason), is_deferred=True)
            raise BrokenCommandError(in_words(error)) from error
        if not isinstance(parser, argparse.ArgumentParser):
            return CommandSpec(name=name, app=app, parser=None, reason="its parser is not an argparse.ArgumentParser")
        return CommandSpec(
            name=name,
            app=app,
            parser=CheckingParser(parser),
            stealth_options=tuple(getattr(command, "stealth_options", ())),
            is_batch=bool(getattr(command, "continues_from_checkpoint", False)),
            reads_own_argv=reads_own_argv(command),
        )


def load(name: str) -> BaseCommand:
    """Make a new instance of the command, as ``manage.py`` does."""
    app = get_commands()[name]
    return app if isinstance(app, BaseCommand) else load_command_class(app, name)


def reads_own_argv(command: BaseCommand) -> bool:
    """Return whether a command overrides ``run_from_argv``, in which Django parses argv and calls ``execute``."""
    return getattr(type(command), "run_from_argv", None) is not BaseCommand.run_from_argv


def _of_database(error: BaseException) -> DatabaseError | None:
    """Return the database error that caused an exception, if any."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, DatabaseError):
        found = found.__cause__
    return found
