"""Finds the statements that may end the script, so that other failures do not."""

from __future__ import annotations

from django_runbook.importing.draft import Entry, StepDraft, walk
from django_runbook.importing.shell.nodes import Compound, Function, IfBranch, Node, Simple, Statement
from django_runbook.importing.translation.context import as_one
from django_runbook.importing.translation.known_commands import SILENT
from django_runbook.importing.translation.scope import ShellScope
from django_runbook.structs import replace

_ENDS = {"exit", "return"}


def is_exit(node: Node) -> bool:
    """Return whether a statement ends the script or a function."""
    return isinstance(node, Simple) and node.program in _ENDS


def replaces_shell(node: Node) -> bool:
    """Return whether a statement is ``exec`` with a command, after which nothing of the script runs."""
    return isinstance(node, Simple) and node.program == "exec" and len(node.words) > 1


def only_ends(node: Node) -> bool:
    """Return whether a statement ends the script, at most after a message."""
    inside = node.statements if isinstance(node, Compound) and not node.is_subshell else (node,)
    messages = all(isinstance(one, Simple) and one.program in SILENT for one in inside[:-1])
    return bool(inside) and messages and is_exit(inside[-1])


def may_exit(value: object, scope: ShellScope, *, names: frozenset[str] = frozenset(_ENDS), depth: int = 0) -> bool:
    """Return whether one of these commands is somewhere in a statement; a subshell ends only itself."""
    if isinstance(value, tuple):
        return any(may_exit(item, scope, names=names, depth=depth) for item in value)
    if isinstance(value, Function) or (isinstance(value, Compound) and value.is_subshell):
        return False
    if isinstance(value, Simple):
        name = value.program
        if name in names or ("exit" in names and replaces_shell(value)):
            return True
        called = scope.functions.get(name)
        # A function that returns ends only itself.
        inside = names - {"return"}
        return called is not None and depth < 8 and may_exit(called.statements, scope, names=inside, depth=depth + 1)
    if isinstance(value, Statement | IfBranch):
        fields = (getattr(value, name) for name in value.__struct_fields__)
        return any(may_exit(one, scope, names=names, depth=depth) for one in fields if not isinstance(one, str))
    return False


def has_end(entries: tuple[Entry, ...]) -> bool:
    """Return whether a failure among some entries ends the script."""
    return any(isinstance(entry, StepDraft) and entry.is_end for entry in walk(entries))


def contained(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Return entries whose ends are only theirs, as in a subshell."""
    if not has_end(entries):
        return entries
    step = as_one(entries)
    assert step is not None
    return (_without_ends(step),)


def _without_ends(step: StepDraft) -> StepDraft:
    steps = tuple(_without_ends(entry) if isinstance(entry, StepDraft) else entry for entry in step.steps)
    return replace(step, steps=steps, is_end=False)
