"""Explains the options of a command and lists their values, from its parser."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterable
from functools import cache

from django.core.management.base import BaseCommand

from django_runbook import argparse_compat
from django_runbook.binding.checking_parser import is_refused
from django_runbook.binding.parsers import new_parser
from django_runbook.editor.help_texts import help_of, is_plain, is_portable
from django_runbook.editor.option_values import listed_choices
from django_runbook.language_server.workspace.project import Project

_SEVERAL = ("*", "+", argparse.REMAINDER)


def markdown_of(action: argparse.Action, parser: argparse.ArgumentParser, *, databases: Collection[str]) -> str:
    """Return the usage of an argument, its help, its choices and its default."""
    names = ", ".join(action.option_strings)
    usage = f"{names} {metavar_of(action)}".strip()
    help_text = help_of(action, parser)
    parts = [f"`{usage}`{' (required)' if action.option_strings and action.required else ''}", help_text]
    choices = [*argparse_compat.sub_parsers(action)] or listed_values(action, databases=databases)
    if choices and action.nargs != 0:
        parts.append(f"Choices: {', '.join(f'`{choice}`' for choice in choices)}")
    default = action.default
    is_shown = action.nargs != 0 and default not in (None, argparse.SUPPRESS)
    if is_shown and is_plain(default) and is_portable(action) and "default" not in help_text.lower():
        parts.append(f"Default: `{default}`")
    return "\n\n".join(filter(None, parts))


def metavar_of(action: argparse.Action) -> str:
    """Return the name of the value of an argument; empty if it takes none."""
    if action.nargs == 0:
        return ""
    metavar = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    name = metavar if isinstance(metavar, str) else " ".join(metavar)
    if action.nargs in _SEVERAL:
        return f"{name} …"
    return f"[{name}]" if action.nargs == "?" else name


def listed_values(action: argparse.Action, *, databases: Collection[str]) -> list[str]:
    """Return the choices of an argument; a flag has none on a command line."""
    sub_commands = argparse_compat.sub_parsers(action)
    if sub_commands:
        return list(sub_commands)
    if action.nargs == 0:
        return []
    return list(dict.fromkeys(map(str, listed_choices(action, databases))))


def values_in_mapping(action: argparse.Action, project: Project) -> list[str]:
    """Return the choices of an option as the value of its name; ``true`` and ``false`` for a flag."""
    if action.nargs == 0 or isinstance(action, argparse.BooleanOptionalAction):
        return ["true", "false"]
    return listed_values(action, databases=project.databases)


def is_offered(action: argparse.Action, *, is_root: bool) -> bool:
    """Return whether an option is suggested: it is not hidden, and has a meaning in a runbook."""
    return action.help != argparse.SUPPRESS and not is_refused(action, is_root=is_root)


def own_first(actions: Iterable[argparse.Action]) -> list[argparse.Action]:
    """Return the arguments of a command before those that every command of Django has."""
    return sorted(actions, key=lambda action: action.dest in _shared())


@cache
def _shared() -> frozenset[str]:
    parser = new_parser(BaseCommand(), "command")
    return frozenset(action.dest for action in argparse_compat.actions_of(parser))


def may_repeat(action: argparse.Action) -> bool:
    """Return whether giving an option again adds to it."""
    kinds = (argparse_compat.AppendAction, argparse_compat.ExtendAction, argparse_compat.CountAction)
    return isinstance(action, kinds)
