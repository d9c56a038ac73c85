"""Translates single commands: management commands become steps, others comments that say why not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from django_runbook.importing.draft import Entry, Note, Plain, StepDraft, notes_of
from django_runbook.importing.problems import NotCarried
from django_runbook.importing.shell.nodes import Assignment, Simple
from django_runbook.importing.shell.reader import read_statements
from django_runbook.importing.translation import arguments
from django_runbook.importing.translation.builtins import BUILTINS
from django_runbook.importing.translation.context import Context, as_one, notes_only
from django_runbook.importing.translation.exits import contained, may_exit
from django_runbook.importing.translation.expansion import expand_all, expand_quoted
from django_runbook.importing.translation.known_commands import PREDICATES, SERVERS, SILENT, reason_of
from django_runbook.importing.translation.pieces import Pieces, as_text, as_token, base_name, literal_of
from django_runbook.importing.translation.scope import ShellScope, is_secret
from django_runbook.importing.translation.wrapping import Unwrapped, unwrap
from django_runbook.structs import replace

# Variables of the interpreter, the shell and Django: a process that is set up already does not read them again.
OF_START: Final = {
    "DJANGO_SETTINGS_MODULE", "DJANGO_CONFIGURATION", "PYTHONPATH", "PYTHONUNBUFFERED", "PYTHONIOENCODING",
    "PYTHONWARNINGS", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV", "PATH", "HOME", "LANG", "LC_ALL", "SHELL", "TERM",
}  # fmt: skip
_MAX_DEPTH: Final = 8
_READS_ARGUMENTS: Final = re.compile(r"\$\{?[\d@*#]")


def translate_simple(node: Simple, context: Context) -> tuple[Entry, ...]:
    """Translate a command with its arguments; raise NotCarried."""
    scope = context.scope
    if not node.words:
        return (Note(line=node.line, text="only the shell used it", source=node.source),)
    name = node.program
    if name in scope.functions:
        return _call(name, node, context)
    builtin = BUILTINS.get(name)
    if builtin is not None:
        return builtin(node, scope)
    if name in SILENT:
        return (Note(line=node.line, text=SILENT[name], subject=_short(node.source)),)
    try:
        scope.declared.unsplit.clear()
        words = expand_all(node.words, scope)
        made = unwrap(words, line=node.line, names=scope.names)
    except NotCarried:
        # Why a word cannot be expanded matters for a command that has a place here only.
        if "manage.py" in node.source or "django" in node.source:
            raise
        raise NotCarried(reason_of(name.rpartition("/")[2], node.source)) from None
    if made.script is not None:
        return _nested(made, node, context)
    if not made.words:
        raise NotCarried("the command is empty when this script starts")
    found = arguments.management_words(made.words)
    if found is None and not base_name(made.words[0]) and "manage.py" in node.source:
        raise NotCarried("a variable decides what is called")
    if found is None:
        inner = literal_of(made.words[0]) or ""
        if inner in scope.functions and len(made.words) < len(words):
            raise NotCarried(f'the function "{inner}" is called by another command')
        raise NotCarried(reason_of(base_name(made.words[0]), node.source))
    return (_step(found, made, node, scope),)


def is_predicate(node: object) -> bool:
    """Return whether the exit code of a command is an answer, so that what follows must not run without it."""
    return isinstance(node, Simple) and node.program in PREDICATES


def input_of(node: Simple, scope: ShellScope) -> str | None:
    """Return what ``echo``, ``printf`` or ``cat <<EOF`` writes into a pipe; None if it is something else."""
    name = node.program
    if name == "cat" and len(node.words) == 1 and len(node.redirects) == 1:
        return arguments.streams_of(node.redirects, scope, line=node.line).stdin
    if node.redirects or node.assignments or name not in {"echo", "printf", "yes"}:
        return None
    words = expand_all(node.words[1:], scope)
    texts = [as_text(pieces) for pieces in words]
    if name == "yes":
        return f"{' '.join(texts) or 'y'}\n"
    if name == "printf":
        return _printed(texts)
    is_bare = texts[:1] == ["-n"]
    if texts[:1] in (["-e"], ["-ne"], ["-en"]):
        raise NotCarried("echo -e reads escapes: write the text under stdin")
    return " ".join(texts[is_bare:]) + ("" if is_bare else "\n")


def _printed(texts: Sequence[str]) -> str:
    if len(texts) != 1 or "%" in texts[0]:
        raise NotCarried("the format of printf has no counterpart: write the text under stdin")
    return texts[0].replace("\\n", "\n").replace("\\t", "\t")


def _step(words: list[Pieces], made: Unwrapped, node: Simple, scope: ShellScope) -> StepDraft:
    kept, started_with = arguments.without_start_options(words)
    if not kept or literal_of(kept[0]) is None or (literal_of(kept[0]) or "-").startswith("-"):
        raise NotCarried("the name of the management command is not known before the run")
    if literal_of(kept[0]) in SERVERS:
        raise NotCarried("it does not end: start it where services are started")
    streams = arguments.streams_of(node.redirects, scope, line=node.line)
    kept = arguments.with_output(kept, streams.output)
    notes = [*made.notes, *streams.notes]
    if scope.declared.unsplit:
        shown = ", ".join(sorted(scope.declared.unsplit))
        text = f"{shown} is one argument, also with spaces in it: the shell split what is not in quotes"
        notes.append(Note(line=node.line, text=text))
    if started_with:
        notes.append(Note(line=node.line, text=f"start the run with {' '.join(started_with)}"))
    env, of_env = _environment(node.assignments, made.env, scope, line=node.line)
    return StepDraft(
        line=node.line,
        command=" ".join(as_token(pieces) for pieces in arguments.without_shell_signs(kept)),
        notes=(*notes, *of_env),
        env=env,
        stdin=streams.stdin,
        timeout=made.timeout,
        lock=made.lock,
    )


def _environment(
    given: Sequence[Assignment], more: dict[str, str], scope: ShellScope, *, line: int
) -> tuple[dict[str, str], list[Note]]:
    values = dict(scope.exported)
    for one in given:
        if one.value is None:
            raise NotCarried(f"{one.name} is a list of the shell")
        values[one.name] = as_text(expand_quoted(one.value, scope))
    env: dict[str, str] = {}
    notes: list[Note] = []
    for name, value in {**values, **more}.items():
        if name in OF_START:
            notes.append(Note(line=line, subject=f"{name}={value}", text="set it where the run is started"))
        elif is_secret(name, value) and "${{" not in value:
            scope.declared.secrets.add(name)
            env[name] = f"${{{{ secrets.{name} }}}}"
            text = f"{name} is a secret: set it in the environment of the run, and remove it from the shell"
            notes.append(Note(line=line, text=text, is_open=True))
        else:
            env[name] = value
    return env, notes


def _call(name: str, node: Simple, context: Context) -> tuple[Entry, ...]:
    """Translate the body of a function in place of its call."""
    scope = context.scope
    if scope.depth >= _MAX_DEPTH:
        raise NotCarried(f'the function "{name}" calls itself')
    inner = scope.copy(positionals=_positionals(name, node, scope), depth=scope.depth + 1)
    # A function sets the variables of its caller.
    inner.values, inner.exported, inner.functions = scope.values, scope.exported, scope.functions
    inner.descriptors, inner.is_called = scope.descriptors, scope.ignored_errexit is None
    statements = scope.functions[name].statements
    entries = context.inside(statements, inner)
    for option in ("stops_on_failure", "stops_on_unset", "sees_pipe_failures", "acquired", "list_stops"):
        setattr(scope, option, getattr(inner, option))
    if may_exit(statements, scope, names=frozenset(("return",))):
        if may_exit(statements, scope, names=frozenset(("exit",))):
            raise NotCarried(f'the function "{name}" has both exit and return')
        entries = contained(entries)
    if any(one.text is not None or one.operator.startswith("<") for one in node.redirects):
        raise NotCarried("the input of a function has no counterpart: see stdin")
    if notes_only(entries) and not any(entry.is_open for entry in notes_of(entries)):
        return (Note(line=node.line, subject=node.source, text="it calls no management command"),)
    return entries


def _positionals(name: str, node: Simple, scope: ShellScope) -> tuple[Pieces, ...]:
    """Return the arguments of a call; those that are unknown do not matter to a function that reads none."""
    try:
        return tuple(expand_all(node.words[1:], scope))
    except NotCarried:
        if _READS_ARGUMENTS.search(scope.functions[name].source):
            raise
        return ()


def _nested(made: Unwrapped, node: Simple, context: Context) -> tuple[Entry, ...]:
    """Translate the script of ``sh -c``, with what was around it."""
    assert made.script is not None
    streams = arguments.streams_of(node.redirects, context.scope, line=node.line)
    if streams.stdin is not None or streams.output is not None:
        raise NotCarried("the input or the output of a script in quotes is data")
    inner = context.scope.copy(values={}, functions={}, positionals=(), stops_on_failure=False, ignored_errexit=None)
    inner.values = {name: context.scope.values[name] for name in context.scope.exported if name in context.scope.values}
    outer = context.scope
    inner.is_tail, inner.is_strict = True, False
    # Its exit code is that of its last command, which may end the script around it.
    inner.is_judged = outer.is_judged or outer.is_strict or outer.stops_on_failure
    entries = contained(context.inside(read_statements(made.script, first_line=node.line), inner))
    step = as_one(entries)
    if step is None:
        raise NotCarried("not a management command: write one, or keep it in the shell before or after the run")
    if made.env or node.assignments:
        raise NotCarried("the variables of a script in quotes have no counterpart: set them for each step")
    notes = (*made.notes, *streams.notes, *step.notes)
    both = made.lock is not None and step.lock is not None, made.timeout is not None and step.timeout is not None
    if any(both):
        step = StepDraft(line=node.line, steps=(step,))
    lock: dict[str, Plain] | None = made.lock
    return (replace(step, notes=notes, lock=lock or step.lock, timeout=made.timeout or step.timeout),)


def _short(source: str) -> str:
    first = " ".join(source.split())
    return first if len(first) <= 60 else f"{first[:57]}..."
