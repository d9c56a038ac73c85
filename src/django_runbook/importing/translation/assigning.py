"""Keeps the values of variables: those that are set once become variables of the runbook."""

from __future__ import annotations

import re
from typing import Final

from django_runbook.importing.draft import Entry, Note, StepDraft
from django_runbook.importing.problems import NotCarried
from django_runbook.importing.shell.nodes import Assignment, Assignments, Node, Pipeline, Simple
from django_runbook.importing.shell.reader import read_statements
from django_runbook.importing.shell.words import ShellWord, Substitution, Variable
from django_runbook.importing.translation.commands import OF_START
from django_runbook.importing.translation.context import Context, as_one, with_id
from django_runbook.importing.translation.expansion import expand_quoted
from django_runbook.importing.translation.pieces import Expr, Literal, Pieces, as_text, literal_of
from django_runbook.importing.translation.scope import is_secret
from django_runbook.structs import replace

_PATH_OF_JQ: Final = re.compile(r"(?:\.[A-Za-z_]\w*)+")


def translate_assignments(node: Assignments, context: Context) -> tuple[Entry, ...]:
    """Record the values of variables; the output of a management command is captured by its step."""
    entries: list[Entry] = []
    for one in node.assignments:
        found = _assigned(one, context)
        is_exported = one.name in node.exported
        entries += [entry for entry in found if not (is_exported and isinstance(entry, Note) and entry.unless_used)]
    for name in node.exported:
        entries += _exported(name, node, context)
    if not node.assignments and not node.exported:
        entries.append(Note(line=node.line, text="a runbook declares no variables of the shell", subject=node.source))
    return tuple(entries)


def _assigned(one: Assignment, context: Context) -> list[Entry]:
    scope = context.scope
    step = None
    try:
        if one.value is None:
            raise NotCarried(f"{one.name} is a list of the shell: use a param of type list")
        step, value = _captured(one.value, context)
        if value is None:
            value = expand_quoted(one.value, scope)
    except NotCarried as reason:
        scope.forget([one.name], str(reason))
        return [Note(line=one.line, text=str(reason), source=_shown(one), is_open=True)]
    literal = literal_of(value)
    if literal is not None and is_secret(one.name, literal) and literal:
        scope.declared.secrets.add(one.name)
        scope.values[one.name] = (Expr(source=f"secrets.{one.name}"),)
        text = f"{one.name} is a secret: set it in the environment of the run, and remove it from the shell"
        return [Note(line=one.line, text=text, is_open=True)]
    declared = scope.values[one.name] = _declared(one, value, context)
    if one.name in scope.exported:
        scope.exported[one.name] = as_text(declared)
    if step is not None:
        return [step]
    used = _reference_in(scope.values[one.name]) or f"shell.{one.name}"
    return [Note(line=one.line, text="only the shell used it", subject=_shown(one), unless_used=used)]


def _shown(one: Assignment) -> str:
    return f"{one.name}=***" if is_secret(one.name, one.source.partition("=")[2]) else one.source


def _declared(one: Assignment, value: Pieces, context: Context) -> Pieces:
    """Return the value as a variable of the runbook, if it can be one."""
    scope = context.scope
    first = value[0] if len(value) == 1 else None
    is_alias = isinstance(first, Expr) and re.fullmatch(r"(params|env|secrets)\.\w+", first.source)
    is_late = any(isinstance(piece, Expr) and piece.is_late for piece in value)
    is_set_once = one.name not in scope.often and not scope.depth and not scope.is_branch
    if is_alias or is_late or not is_set_once:
        return value
    name = scope.declared.name_of(one.name)
    scope.declared.vars[name] = as_text(value)
    is_text = not isinstance(first, Expr) or first.is_text
    has_space = any(isinstance(piece, Literal) and re.search(r"\s", piece.text) for piece in value)
    spaced = value if has_space or any(isinstance(piece, Expr) and piece.spaced for piece in value) else ()
    return (Expr(source=f"vars.{name}", literal=literal_of(value), is_text=is_text, spaced=spaced),)


def _reference_in(value: object) -> str | None:
    """Return the reference that a value is, such as ``vars.day``."""
    first = value[0] if isinstance(value, tuple) and len(value) == 1 else None
    is_reference = isinstance(first, Expr) and re.fullmatch(r"(vars|params|env|secrets)\.\w+", first.source)
    return first.source if isinstance(first, Expr) and is_reference else None


def _exported(name: str, node: Assignments, context: Context) -> list[Entry]:
    scope = context.scope
    value = scope.values.get(name)
    if name in OF_START:
        return [Note(line=node.line, subject=node.source, text="set it where the run is started")]
    if isinstance(value, str):
        return []
    if value is None:
        return [Note(line=node.line, text="commands see the environment of the run", subject=node.source)]
    if len(value) == 1 and isinstance(value[0], Expr) and value[0].source in {f"secrets.{name}", f"env.{name}"}:
        return [Note(line=node.line, text="commands see the environment of the run", subject=name)]
    scope.exported[name] = as_text(value)
    text = "the steps below get it, each in a fresh interpreter; set it where the run is started if all of them need it"
    return [Note(line=node.line, subject=node.source, text=text)]


def _captured(word: ShellWord, context: Context) -> tuple[StepDraft | None, Pieces | None]:
    """Return the step whose output a variable is, and its value; None if it is the output of something else."""
    only = [part for part in word.parts if not (hasattr(part, "value") and not part.value)]
    if len(only) != 1 or not isinstance(only[0], Substitution):
        return None, None
    statements = read_statements(only[0].source, first_line=only[0].line)
    node = statements[0] if len(statements) == 1 else None
    path: str | None = ""
    if isinstance(node, Pipeline) and len(node.commands) == 2:
        path, node = _path_of(node.commands[1]), node.commands[0]
    if not isinstance(node, Simple) or not _may_be_management(node) or path is None:
        return None, None
    step = as_one(context.statement(node, context.scope))
    if step is None or step.command is None:
        return None, None
    named, name = with_id(step, context.scope)
    source = f"steps.{name}.output{path}"
    return replace(named, capture="json" if path else "text"), (Expr(source=source, is_late=True, is_text=not path),)


def _may_be_management(node: Simple) -> bool:
    return (
        "manage.py" in node.source
        or "django" in node.source
        or bool(node.words and any(isinstance(part, Variable) for part in node.words[0].parts))
    )


def _path_of(node: Node) -> str | None:
    """Return the path of a call of jq that reads one value."""
    if not isinstance(node, Simple) or node.program != "jq" or node.redirects:
        return None
    arguments = [word.literal or "" for word in node.words[1:] if word.literal not in {"-r", "--raw-output", "-e"}]
    if len(arguments) == 1 and _PATH_OF_JQ.fullmatch(arguments[0]):
        return arguments[0]
    return None
