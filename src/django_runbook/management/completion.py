"""Completes command lines of our commands: options, runbooks, steps, tags and parameters."""

from __future__ import annotations

import argparse
import re
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from django.core.management import get_commands, load_command_class

from django_runbook import checking, conf, lookup
from django_runbook.argparse_compat import actions_of, flags_of
from django_runbook.document.outline import outline
from django_runbook.document.runbook import Param, Runbook
from django_runbook.exceptions import RunbookError

_APP: Final = "django_runbook"
# The positional arguments that name runbooks.
_FILES: Final = frozenset(("file", "files", "runbook"))
_STEPS: Final = frozenset(("only", "skip", "start_at", "rerun"))
# A space that no backslash quotes.
_END_OF_WORD: Final = re.compile(r"(?<!\\)(\\\\)*\s$|^$")
_BREAKS: Final = "=:"
_TAGS: Final = frozenset(("tags", "skip_tags"))


def complete(line: str) -> tuple[str, list[str]]:
    """Return the unfinished last word of a command line, and the words that it can become."""
    words = _split(line)
    place = next((index for index, word in enumerate(words) if _is_ours(word) and index), None)
    if place is None or place + 1 >= len(words):
        return words[-1] if words else "", []
    command, *arguments, current = words[place:]
    parser = load_command_class(_APP, command).create_parser("manage.py", command)
    try:
        found = list(_candidates(parser, arguments, current))
    except RunbookError:
        # A setting or a file that is wrong is reported when the command runs.
        found = []
    # A shell reads one word in a line, and no terminal shows a control character.
    return current, sorted({one for one in found if one.startswith(current) and one.isprintable()})


def kept_part(current: str, word: str) -> str:
    """Return the beginning of the last word that a shell keeps, because it calls only the rest ``word``.

    bash splits words at the characters of ``COMP_WORDBREAKS``, such as "=" and ":", unless they are quoted.
    """
    last = (_split(word) or [""])[-1]
    # After such a character, that is the word.
    return current.removesuffix(last) if last.strip(_BREAKS) else current


def own_commands() -> list[str]:
    """Return the commands of this package."""
    return sorted(name for name, app in get_commands().items() if app == _APP)


def _is_ours(word: str) -> bool:
    return get_commands().get(word) == _APP


def _split(line: str) -> list[str]:
    """Split a line into words; the last one is unfinished, and may have an open quote."""
    for quote in ("", '"', "'"):
        try:
            words = shlex.split(line + quote)
        except ValueError:
            continue
        return words if quote or not _END_OF_WORD.search(line) else [*words, ""]
    return []


def _candidates(parser: argparse.ArgumentParser, arguments: Sequence[str], current: str) -> Iterator[str]:
    flags = flags_of(parser)
    option, separator, value = current.partition("=")
    waiting = flags.get(arguments[-1]) if arguments else None
    if waiting is not None and _takes_value(waiting):
        yield from _values(waiting, current, _file_of(parser, arguments))
    elif current.startswith("-") and separator:
        if option in flags:
            yield from (f"{option}={one}" for one in _values(flags[option], value, _file_of(parser, arguments)))
    elif current.startswith("-"):
        yield from (flag for flag in flags if flag.startswith("--"))
    elif any(not action.option_strings and action.dest in _FILES for action in actions_of(parser)):
        yield from lookup.names_in(Path(), conf.read())


def _takes_value(action: argparse.Action) -> bool:
    return action.nargs is None or (isinstance(action.nargs, int) and action.nargs > 0)


def _values(action: argparse.Action, current: str, file: str | None) -> Iterable[str]:
    if action.choices is not None:
        return map(str, action.choices)
    runbook = None if file is None else _load(file)
    if runbook is None:
        return ()
    if action.dest == "param":
        return _params(runbook.params, current)
    entries = outline(runbook)
    if action.dest in _STEPS:
        return _in_list(entries, current)
    if action.dest in _TAGS:
        return _in_list([tag for entry in entries.values() for tag in entry.step.tags], current)
    return ()


def _in_list(names: Iterable[str], current: str) -> Iterator[str]:
    """Yield the values that continue a list with commas."""
    before, comma, _ = current.rpartition(",")
    given = before.split(",")
    return (f"{before}{comma}{name}" for name in names if name not in given)


def _params(params: Sequence[Param], current: str) -> Iterator[str]:
    name, separator, _ = current.partition("=")
    for param in params:
        if not separator:
            yield f"{param.name}="
        elif param.name == name:
            known = ("true", "false") if param.type == "boolean" else map(str, param.choices)
            yield from (f"{name}={value}" for value in known)


def _file_of(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> str | None:
    """Return the first word that is neither an option nor the value of one."""
    flags, before = flags_of(parser), ""
    for word in arguments:
        action = flags.get(before)
        if not word.startswith("-") and (action is None or not _takes_value(action)):
            return word
        before = word
    return None


def _load(name: str) -> Runbook | None:
    configuration = conf.read()
    path, shown = lookup.find(name, configuration)
    return checking.load(path, name=shown, configuration=configuration).runbook
