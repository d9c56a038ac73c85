"""Finds the management command among the words of a command, and what its redirections mean."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Final

from django_runbook.importing.draft import Note
from django_runbook.importing.problems import NotCarried
from django_runbook.importing.shell.nodes import Redirect
from django_runbook.importing.translation.expansion import expand_quoted
from django_runbook.importing.translation.pieces import Expr, Literal, Pieces, as_text, base_name, literal_of, string_of
from django_runbook.importing.translation.scope import ShellScope
from django_runbook.structs import MutableStruct, field

_PYTHON: Final = re.compile(r"(?:python|pypy)[\d.]*")
_MANAGE: Final = {"manage.py", "django-admin", "django-admin.py"}
_WITH_VALUE: Final = {"-W", "-X"}
_OF_START: Final = ("--settings", "--pythonpath")
_LOG: Final = re.compile(r"log|\.(?:out|err|txt)$", re.IGNORECASE)
_DATA: Final = {
    ".json", ".csv", ".xml", ".yaml", ".yml", ".sql", ".gz", ".zip", ".bz2", ".html", ".tsv", ".xlsx", ".pdf", ".py",
}  # fmt: skip
LOGGED: Final = "the history has the output, and --log-dir writes it to files"
# A command line refuses these, also in quotes.
_SHELL: Final = re.compile(r"&&|\|\||\||>>?|<|2>|2>&1|&|;|\$\w+|\$\{\w+\}|\$\(.*\)|`.*`")


def management_words(words: Sequence[Pieces]) -> list[Pieces] | None:
    """Return the name of a management command and its arguments; None if the words call something else."""
    name = base_name(words[0])
    rest = list(words[1:])
    if _PYTHON.fullmatch(name):
        while rest and (text := literal_of(rest[0])) is not None and text.startswith("-") and text != "-m":
            rest.pop(0)
            if text in _WITH_VALUE and rest:
                rest.pop(0)
        if len(rest) > 1 and literal_of(rest[0]) == "-m":
            return rest[2:] if literal_of(rest[1]) == "django" else None
        if not rest or base_name(rest[0]) not in _MANAGE:
            return None
        return rest[1:]
    return rest if name in _MANAGE else None


def without_start_options(words: list[Pieces]) -> tuple[list[Pieces], list[str]]:
    """Return the words with the command first, and the options that belong to the start of the run."""
    kept: list[Pieces] = []
    removed: list[str] = []
    rest = list(words)
    while rest:
        text = literal_of(rest[0])
        name = (text or "").partition("=")[0]
        if name in _OF_START:
            removed.append(as_text(rest.pop(0)))
            if text == name and rest:
                removed[-1] += f"={as_text(rest.pop(0))}"
        else:
            kept.append(rest.pop(0))
    # Options may come before the command.
    place = next((index for index, pieces in enumerate(kept) if not _is_option(pieces)), len(kept))
    return [*kept[place : place + 1], *kept[:place], *kept[place + 1 :]], removed


def _is_option(pieces: Pieces) -> bool:
    return (literal_of(pieces) or "").startswith("-")


def without_shell_signs(words: Sequence[Pieces]) -> list[Pieces]:
    """Return the words with those that a command line refuses as expressions."""
    made: list[Pieces] = []
    for pieces in words:
        text = literal_of(pieces)
        is_sign = text is not None and _SHELL.fullmatch(text)
        made.append((Expr(source=string_of(text or "")),) if is_sign else pieces)
    return made


class CommandStreams(MutableStruct):
    """Holds what the redirections of a command become."""

    stdin: str | None = None
    output: Pieces | None = None
    notes: list[Note] = field(default_factory=list)


def streams_of(redirects: Sequence[Redirect], scope: ShellScope, *, line: int) -> CommandStreams:
    """Return the standard input of a command, and the file of data that it writes; raise NotCarried."""
    made = CommandStreams()
    is_merged = any(one.operator in {">&", "&>", "&>>"} for one in redirects)
    for redirect in redirects:
        if redirect.text is not None:
            made.stdin = as_text(expand_quoted(redirect.text, scope))
        elif redirect.operator.startswith("<"):
            if redirect.target is None or redirect.target.literal != "/dev/null":
                raise NotCarried(f"it reads a file ({redirect.source}): give the command an option for it")
        elif redirect.target is not None and not re.fullmatch(r"\d+|-", redirect.target.source):
            _write(redirect, made, scope, is_merged=is_merged, line=line)
    return made


def _write(redirect: Redirect, made: CommandStreams, scope: ShellScope, *, is_merged: bool, line: int) -> None:
    target = redirect.target
    assert target is not None
    if target.literal == "/dev/null":
        return
    path = PurePosixPath(target.source.strip("\"'"))
    is_log = bool(_LOG.search(str(path))) or is_merged or redirect.descriptor == "2"
    is_data = path.suffix.lower() in _DATA or (redirect.operator == ">" and not is_log)
    if is_data and redirect.descriptor != "2":
        if redirect.operator == ">>":
            raise NotCarried(f"its output is data ({redirect.source}): give the command an option that writes the file")
        made.output = expand_quoted(target, scope)
        return
    made.notes.append(Note(line=line, subject=redirect.source, text=LOGGED))


def with_output(words: list[Pieces], output: Pieces | None) -> list[Pieces]:
    """Return the words with the file that the shell wrote for the command; raise NotCarried."""
    if output is None:
        return words
    if literal_of(words[0]) == "dumpdata":
        return [*words, (Literal(text="--output="), *output)]
    raise NotCarried(f"its output is data ({as_text(output)}): give the command an option that writes the file")
