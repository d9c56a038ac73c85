"""Translates ``if``."""

from __future__ import annotations

from django_runbook.importing.draft import Entry, Note, StepDraft, steps_of
from django_runbook.importing.problems import NotCarried
from django_runbook.importing.shell.nodes import AndOr, Compound, If, IfBranch, Negation, Node
from django_runbook.importing.translation.commands import is_predicate
from django_runbook.importing.translation.conditions import condition_of, joined, negated
from django_runbook.importing.translation.context import (
    Context,
    as_one,
    conditional_errexit,
    notes_only,
    only_when,
    with_id,
)
from django_runbook.importing.translation.exits import has_end, is_exit
from django_runbook.structs import replace


def translate_if(node: If, context: Context) -> tuple[Entry, ...]:
    """Translate the branches of an ``if`` into steps with conditions; raise NotCarried."""
    ending = _ending(node, context)
    if ending is not None:
        return context.statement(ending, context.scope)
    made: list[Entry] = []
    earlier: list[str] = []
    for number, branch in enumerate(node.branches):
        step, condition = _condition(branch, context, is_first=number == 0)
        if step is not None:
            made.append(step)
        made += _branch(branch.statements, joined(*earlier, condition), context)
        earlier.append(negated(condition))
    if node.otherwise:
        made += _branch(node.otherwise, joined(*earlier), context)
    if not steps_of(tuple(made)):
        return _without_steps(node, tuple(made))
    return tuple(made)


def _ending(node: If, context: Context) -> AndOr | None:
    """Return ``if ! a; then b; exit 1; fi`` as ``a || { b; exit 1; }``."""
    branch = node.branches[0]
    only = branch.condition[0] if len(branch.condition) == 1 else None
    last = branch.statements[-1] if branch.statements else None
    if len(node.branches) > 1 or node.otherwise or not isinstance(only, Negation) or last is None or not is_exit(last):
        return None
    if condition_of(only, context.scope) is not None or is_predicate(only.command):
        return None
    body = Compound(statements=branch.statements, is_subshell=False, line=node.line, source=node.source)
    return AndOr(operator="||", left=only.command, right=body, line=node.line, source=node.source)


def _without_steps(node: If, made: tuple[Entry, ...]) -> tuple[Entry, ...]:
    """Show the whole statement, not the comments of its parts, if a part of it needs a reader."""
    found = [note for note in made if isinstance(note, Note) and note.is_open]
    if found:
        raise NotCarried(found[0].text)
    return (Note(line=node.line, text="nothing in it needs a counterpart", source=node.source),)


def _branch(statements: tuple[Node, ...], condition: str, context: Context) -> tuple[Entry, ...]:
    if condition == "false":
        text, source = "its condition is never true", "\n".join(one.source for one in statements)
        return (Note(line=statements[0].line, text=text, source=source),)
    inner = context.scope.copy(is_branch=True)
    entries = context.inside(statements, inner)
    if inner.stops_on_failure != context.scope.stops_on_failure:
        entries = (*entries, conditional_errexit(statements[0].line))
    _forget_changes(inner.values.keys() | context.scope.values.keys(), inner, context)
    return entries if notes_only(entries) else only_when(entries, condition)


def _forget_changes(names: set[str], inner: object, context: Context) -> None:
    values = getattr(inner, "values", {})
    changed = [name for name in names if values.get(name) != context.scope.values.get(name)]
    context.scope.forget(changed, "a variable that is set in a branch has no known value: set it in one place")


def _condition(branch: IfBranch, context: Context, *, is_first: bool) -> tuple[StepDraft | None, str]:
    """Return the condition of a branch, and the command whose success it is."""
    if len(branch.condition) != 1:
        raise NotCarried("a condition of several commands has no counterpart")
    only = branch.condition[0]
    condition = condition_of(only, context.scope)
    if condition is not None:
        return None, condition
    is_negated = isinstance(only, Negation)
    command = only.command if isinstance(only, Negation) else only
    if is_predicate(command) or not is_first:
        raise NotCarried("its condition is the exit code of a command that is not a management command")
    entries = context.statement(command, context.scope.judged())
    step = as_one(entries)
    if step is None:
        raise NotCarried("its condition is the exit code of a command that is not a management command")
    if has_end((step,)):
        raise NotCarried("an exit in a condition has no counterpart")
    named, name = with_id(step, context.scope)
    ignored = f"steps.{name}.ignored"
    return replace(named, continue_on_error=True), ignored if is_negated else f"not {ignored}"
