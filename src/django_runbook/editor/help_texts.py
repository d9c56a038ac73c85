"""Formats the help of commands and their options for editors, in the same way on every machine."""

from __future__ import annotations

import argparse
import math
import re
from pathlib import PurePath
from typing import Final

from django_runbook import argparse_compat
from django_runbook.binding.finding import long_flag

_SEVERAL: Final = ("*", "+", argparse.REMAINDER)
_SECRET: Final = re.compile(r"api|auth|key|pass|secret|signature|token", re.IGNORECASE)
_WITHHELD: Final = "…"


def help_of(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    """Return the help of an option with argparse's ``%`` fields filled in; empty if it has none or hides it."""
    try:
        return _filled_in(action, parser)
    except Exception:  # noqa: BLE001 - the help and the choices of a project may be computed, and raise anything
        return ""


def text_of(value: object) -> str:
    """Return a text of a command, which may be translated; empty if it raises an error."""
    try:
        return str(value or "")
    except Exception:  # noqa: BLE001 - as in help_of
        return ""


def _filled_in(action: argparse.Action, parser: argparse.ArgumentParser) -> str:
    if not action.help or action.help == argparse.SUPPRESS:
        return ""
    fields = {name: getattr(value, "__name__", value) for name, value in vars(action).items()}
    fields = {name: value for name, value in fields.items() if value is not argparse.SUPPRESS}
    fields |= {"prog": parser.prog, "default": fields.get("default") if is_portable(action) else _WITHHELD}
    if action.choices is not None and "%(choices)" in str(action.help):
        fields["choices"] = ", ".join(map(str, action.choices))
    try:
        text = str(action.help) % fields
    except (TypeError, ValueError, KeyError):
        # argparse itself fails with such a help; it is shown as written.
        text = str(action.help)
    return " ".join(text.split())


def is_portable(action: argparse.Action) -> bool:
    """Return whether a default may be written into a file: no path of this machine, and nothing like a secret."""
    default = action.default
    if isinstance(default, PurePath) or (isinstance(default, str) and PurePath(default).is_absolute()):
        return False
    return default is None or _SECRET.search(action.dest) is None


def is_plain(value: object) -> bool:
    """Return whether JSON has the value: a string, a finite number, a boolean or null."""
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, bool | int | str)


def plain(value: object) -> object:
    """Return a value that `is_plain` without its own class, such as that of an enumeration."""
    match value:
        case bool():
            return value
        case int():
            return int(value)
        case float():
            return float(value)
        case str():
            return str.__str__(value)
    return value


def usage_of(name: str, parser: argparse.ArgumentParser) -> str:
    """Return a usage line: ``import_flights FILE [options]``."""
    positionals = [action for action in argparse_compat.actions_of(parser) if not action.option_strings]
    required = [action for action in argparse_compat.actions_of(parser) if action.option_strings and action.required]
    words = [name, *map(_shown, positionals), *(f"{long_flag(action)} …" for action in required), "[options]"]
    return " ".join(words)


def _shown(action: argparse.Action) -> str:
    metavar = action.metavar or action.dest
    name = metavar if isinstance(metavar, str) else " ".join(metavar)
    choices = argparse_compat.sub_parsers(action)
    if choices:
        return f"{{{','.join(choices)}}}"
    if action.nargs in _SEVERAL:
        name = f"{name} …"
    return f"[{name}]" if action.nargs in ("?", "*") else name
