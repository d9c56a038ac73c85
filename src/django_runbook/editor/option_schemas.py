"""Describes the options of one command as a JSON Schema, under every spelling that the check accepts."""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Iterable

from django_runbook import argparse_compat
from django_runbook.binding.checking_parser import CheckingParser, is_refused
from django_runbook.binding.finding import long_flag
from django_runbook.editor.help_texts import help_of, is_plain, is_portable, plain
from django_runbook.editor.option_values import OwnedAction, option_value
from django_runbook.editor.patterns import character_class, escaped
from django_runbook.editor.value_schemas import Schema, described, reference


def options_schema(parser: CheckingParser, *, definition: str, databases: Collection[str], is_open: bool) -> Schema:
    """Return the schema of ``options``, for the definition of this name.

    ``is_open`` accepts any option and any value: the parser only says what is offered.
    """
    found: Schema = {"type": "object", "properties": {}, "patternProperties": {}}
    for group in _groups(parser):
        actions = [action for action, _ in group]
        value = option_value(group, databases)
        if is_open:
            value = {"anyOf": [value, {}]}
        shown = {
            _bare(long_flag(action)): {**_default_of(action), **described(value, help_of(action, owner))}
            for action, owner in reversed(group)
            if action.help != argparse.SUPPRESS
        }
        found["properties"] |= dict(reversed(shown.items()))
        other = reference(definition, "properties", next(reversed(shown))) if shown else value
        found["patternProperties"][_spellings(actions, prefixes=parser.prefixes)] = other
    if not is_open:
        found["additionalProperties"] = False
    return found


def _groups(parser: CheckingParser) -> list[list[OwnedAction]]:
    """Group the options of all parsers by common names: a name may then have the value of any of its group."""
    groups: list[tuple[set[str], list[OwnedAction]]] = []
    for owner in parser.parsers:
        for action in argparse_compat.actions_of(owner):
            if not action.option_strings or is_refused(action, is_root=owner is parser.root):
                continue
            names, members = {name.replace("_", "-") for name in _names(action)}, [(action, owner)]
            for group in [group for group in groups if group[0] & names]:
                names, members = group[0] | names, group[1] + members
                groups.remove(group)
            groups.append((names, members))
    return [members for _, members in groups]


def _names(action: argparse.Action) -> set[str]:
    return {action.dest, *(_bare(flag) for flag in action.option_strings)}


def _bare(flag: str) -> str:
    return flag[2:] if flag[:1] == flag[1:2] else flag[1:]


def _spellings(actions: Iterable[argparse.Action], *, prefixes: str) -> str:
    names = sorted({re.sub("[-_]", "[-_]", escaped(name)) for action in actions for name in _names(action)})
    return f"^{character_class(prefixes)}*(?:{'|'.join(names)})$"


def _default_of(action: argparse.Action) -> Schema:
    default = action.default
    # The default of a flag would be what an editor writes, and it is what need not be written.
    is_shown = action.nargs != 0 and default is not None and default != argparse.SUPPRESS
    return {"default": plain(default)} if is_shown and is_plain(default) and is_portable(action) else {}
