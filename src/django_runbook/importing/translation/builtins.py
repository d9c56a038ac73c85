"""Translates the commands of the shell itself: where it works, how it fails, how it ends."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

from django_runbook.importing.draft import Entry, Note, StepDraft
from django_runbook.importing.problems import NotCarried
from django_runbook.importing.shell.nodes import Simple
from django_runbook.importing.translation.pieces import Literal, as_token
from django_runbook.importing.translation.scope import ShellScope

_OPTION: Final = re.compile(r"[-+][a-zA-Z]+")
_MAX_EXIT_CODE: Final = 123
_CODES: Final = "a failed run ends with 1; the exit code of the step is in its report"


def _set(node: Simple, scope: ShellScope) -> tuple[Entry, ...]:
    words = [word.literal or "" for word in node.words[1:]]
    sets_errexit = False
    for index, word in enumerate(words):
        if not _OPTION.fullmatch(word) or word == "--":
            if index == 0 or words[index - 1][-1:] != "o":
                raise NotCarried("set changes the arguments of the script: name them as params")
            continue
        is_on = word.startswith("-")
        named = words[index + 1] if word.endswith("o") and index + 1 < len(words) else ""
        if "e" in word or named == "errexit":
            if scope.ignored_errexit is not None:
                return (_ignored(node, is_open=is_on != scope.ignored_errexit),)
            scope.stops_on_failure, sets_errexit = is_on, True
        if "u" in word or named == "nounset":
            scope.stops_on_unset = is_on
        if named == "pipefail":
            scope.sees_pipe_failures = is_on
    return (Note(line=node.line, text=_SET[sets_errexit and scope.stops_on_failure], subject=node.source),)


def _ignored(node: Simple, *, is_open: bool) -> Note:
    text = "the shell ignores it here, because an exit code decides what follows"
    if is_open:
        text += "; the lines after that obey it, the steps do not"
    return Note(line=node.line, text=text, subject=node.source, is_open=is_open)


_SET: Final = {
    True: "a runbook stops at the first failure by itself",
    False: "it configures the shell",
}


def _cd(node: Simple, scope: ShellScope) -> tuple[Entry, ...]:
    return (Note(line=node.line, text="start the run in this folder", subject=node.source),)


def _source(node: Simple, scope: ShellScope) -> tuple[Entry, ...]:
    if node.source.rstrip("\"'").endswith("/activate"):
        return (Note(line=node.line, text="start the run with the Python of this environment", subject=node.source),)
    text = "it may set variables: set them where the run is started"
    return (Note(line=node.line, text=text, source=node.source, is_open=True),)


def _exit(node: Simple, scope: ShellScope) -> tuple[Entry, ...]:
    """Translate ``exit``: with an error it is a step that fails; otherwise a list ends by itself, or not at all."""
    word = node.words[1] if len(node.words) > 1 else None
    code = "0" if word is None else (word.literal or "")
    if not code.isdigit():
        raise NotCarried("the exit code is not known before the run: a runbook ends with 0, or with 1 after a failure")
    if int(code) == 0:
        raise NotCarried("a runbook cannot end early with success: give the steps after this one a condition")
    number = min(int(code), _MAX_EXIT_CODE)
    options = f" --exit-code {number}" if number != 1 else ""
    message = as_token((Literal(text=f"line {node.line}, {node.source}"),))
    command = f"fail_run {message}{options}"
    notes = (Note(line=node.line, subject=node.source, text=_CODES),) if int(code) != 1 else ()
    return (StepDraft(line=node.line, command=command, notes=notes, is_end=True),)


def _refused(reason: str) -> Callable[[Simple, ShellScope], tuple[Entry, ...]]:
    def refuse(node: Simple, scope: ShellScope) -> tuple[Entry, ...]:
        raise NotCarried(reason)

    return refuse


BUILTINS: Final[Mapping[str, Callable[[Simple, ShellScope], tuple[Entry, ...]]]] = {
    "set": _set,
    "cd": _cd,
    "pushd": _cd,
    "popd": _cd,
    "source": _source,
    ".": _source,
    "exit": _exit,
    "return": _exit,
    "eval": _refused("the shell computes the command"),
    "break": _refused("a loop of a runbook ends when a step fails"),
    "continue": _refused("a loop of a runbook runs all steps for each item"),
    "trap": _refused("this trap has no counterpart: see finally and on_failure"),
    "wait": _refused("it waits for commands of another list, or for none: see parallel"),
    "read": _refused('it asks for input: use "confirm", or a param'),
    "xargs": _refused("a list of a pipe has no counterpart: see for_each"),
    "ssh": _refused("a runbook runs on the host where it is started"),
}
