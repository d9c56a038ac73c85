"""Translates commands that are joined by ``&&``, ``||`` and ``|``."""

from __future__ import annotations

from typing import Final

from django_runbook.importing.draft import Entry, Note, StepDraft, notes_of, steps_of
from django_runbook.importing.problems import NotCarried
from django_runbook.importing.shell.nodes import AndOr, Compound, Negation, Node, Pipeline, Simple
from django_runbook.importing.translation.commands import input_of, is_predicate
from django_runbook.importing.translation.conditions import condition_of, negated
from django_runbook.importing.translation.context import (
    Context,
    as_one,
    conditional_errexit,
    flattened,
    group,
    notes_only,
    only_when,
    with_id,
)
from django_runbook.importing.translation.exits import has_end, only_ends, replaces_shell
from django_runbook.importing.translation.leaving_out import left_out
from django_runbook.structs import replace

# They read the output of a command, and change nothing that the history does not have.
_READERS: Final = {
    "tee": "the history has the output, and --log-dir writes it to files",
    "logger": "the history has the output",
    "systemd-cat": "the history has the output",
    "ts": "the history has the time of each line",
    "cat": "the history has the output",
    "multilog": "the history has the output",
    "cronolog": "the history has the output, and --log-dir writes it to files",
    "rotatelogs": "the history has the output, and --log-dir writes it to files",
}
_MAILERS: Final = {"mail", "mailx", "mutt", "sendmail", "msmtp"}


def translate_and_or(node: AndOr, context: Context) -> tuple[Entry, ...]:
    """Translate ``left && right`` or ``left || right``; raise NotCarried."""
    scope = context.scope
    forgives, scope.forgives_left = scope.forgives_left, False
    before = scope.stops_on_failure
    if node.operator == "&&":
        made = _translate_and(_operands(node), context, forgives=forgives)
    else:
        made = _translate_or(node, context)
    if scope.stops_on_failure == before:
        return made
    scope.stops_on_failure = before
    return (*made, conditional_errexit(node.line))


def _operands(node: Node) -> list[Node]:
    """Return the commands of a chain of ``&&``, which the parser nests to the left."""
    found: list[Node] = []
    while isinstance(node, AndOr) and node.operator == "&&":
        found.insert(0, node.right)
        node = node.left
    return [node, *found]


def _translate_and(operands: list[Node], context: Context, *, forgives: bool) -> tuple[Entry, ...]:
    """Translate a chain: a condition guards all that follows it."""
    made: list[Entry] = []
    for number, operand in enumerate(operands[:-1]):
        condition = condition_of(operand, context.scope)
        if condition is not None:
            rest = _translate_and(operands[number + 1 :], context, forgives=forgives)
            return _forgiven(tuple(made), only_when(_needed(rest), condition), context, forgives=forgives)
        if is_predicate(operand.command if isinstance(operand, Negation) else operand):
            raise NotCarried("its condition is the exit code of a command that is not a management command")
        made += map(_guarding, _left(operand, context))
    return _forgiven(tuple(made), _statement(operands[-1], context), context, forgives=forgives)


def _left(operand: Node, context: Context) -> tuple[Entry, ...]:
    """Translate what is before ``&&``: inside of it, the shell ignores "set -e"."""
    scope = context.scope
    if replaces_shell(operand):
        return (left_out(operand, "exec ends the script: what follows && never runs", scope),)
    is_list = isinstance(operand, Compound) or (isinstance(operand, Simple) and operand.program in scope.functions)
    if not is_list or not scope.stops_on_failure:
        made = _statement(operand, context)
        if is_list and scope.stops_on_failure:
            raise NotCarried('it sets "set -e" before &&, where the shell ignores that option until the list ends')
        return made
    before, scope.stops_on_failure, scope.ignored_errexit = scope.ignored_errexit, False, True
    try:
        return _statement(operand, context)
    finally:
        scope.stops_on_failure, scope.ignored_errexit = True, before


def _guarding(entry: Entry) -> Entry:
    """Say that the steps after a command that is not carried over depended on it."""
    if isinstance(entry, Note) and entry.is_open:
        return replace(entry, text=f"{entry.text}; what follows && ran only if it succeeded")
    return entry


def _forgiven(
    left: tuple[Entry, ...], right: tuple[Entry, ...], context: Context, *, forgives: bool
) -> tuple[Entry, ...]:
    """Keep that a failure before ``&&`` does not end a script with ``set -e``, but one after it does."""
    before = as_one(left)
    if not forgives or before is None or has_end((before,)) or before.continue_on_error:
        return (*left, *right)
    note = Note(line=before.line, text='"set -e" does not end a script if a command before && fails')
    if not steps_of(right):
        return (replace(before, continue_on_error=True, notes=(*before.notes, note)), *right)
    named, name = with_id(before, context.scope)
    first = replace(named, continue_on_error=True, notes=(*named.notes, note))
    return (first, *only_when(right, f"not steps.{name}.ignored"))


def _statement(node: Node, context: Context) -> tuple[Entry, ...]:
    """Translate one side: what is not carried over stays as a comment next to the other side."""
    try:
        context.scope.is_judged = True
        return context.statement(node, context.scope)
    except NotCarried as reason:
        return (left_out(node, str(reason), context.scope),)


def _translate_or(node: AndOr, context: Context) -> tuple[Entry, ...]:
    if isinstance(node.left, Simple) and node.left.program in {"cd", "pushd"} and only_ends(node.right):
        return context.statement(node.left, context.scope)
    condition = condition_of(node.left, context.scope)
    if condition is not None:
        return only_when(_needed(context.statement(node.right, context.scope)), negated(condition))
    # Failures inside the left side are its result: they end nothing by themselves.
    left = as_one(context.statement(node.left, context.scope.judged()))
    if left is None:
        raise NotCarried("what runs after its failure depends on a command that is not a management command")
    if has_end((left,)):
        raise NotCarried("an exit before || has no counterpart: it ends the script, and not only its side")
    right = _alternative(node.right, context)
    ends = [step for step in steps_of(right) if step.is_end]
    if ends:
        return (_with_handlers(left, right, ends[0]),)
    if notes_only(right):
        is_silent = isinstance(node.right, Simple) and node.right.source in {"true", ":"}
        return (replace(left, continue_on_error=True), *(() if is_silent else right))
    named, name = with_id(left, context.scope)
    return (replace(named, continue_on_error=True), *only_when(right, f"steps.{name}.ignored"))


def _alternative(node: Node, context: Context) -> tuple[Entry, ...]:
    if isinstance(node, Compound):
        block = context.block(node.statements, context.scope.copy(stops_on_failure=False, is_judged=True))
        is_end = any(step.is_end for step in steps_of(block.entries))
        return block.entries if is_end else flattened(block)
    if isinstance(node, Simple) and node.program in {"exit", "return"}:
        code = node.words[1].literal if len(node.words) > 1 else None
        if code is None or not code.isdigit():
            # Without a number, the exit code is that of the command that failed.
            return (StepDraft(line=node.line, command="fail_run", is_end=True),)
        if code == "0":
            text = "the script ended here with success after a failure; the run ends with the failure"
            note = Note(line=node.line, text=text, source=node.source, is_open=True)
            return (note, StepDraft(line=node.line, command="fail_run", is_end=True))
    return _statement(node, context)


def _with_handlers(left: StepDraft, right: tuple[Entry, ...], end: StepDraft) -> StepDraft:
    """Return the left side as a step that ends the list, with what ran before the exit as handlers."""
    place = right.index(end)
    before, after = right[:place], notes_of(right[place + 1 :])
    if not steps_of(before):
        return replace(left, notes=(*left.notes, *notes_of(before), *end.notes, *after), is_end=True)
    if len(steps_of(before)) == 1:
        # A handler that fails never replaces the first error.
        before = tuple(
            replace(entry, continue_on_error=False) if isinstance(entry, StepDraft) else entry for entry in before
        )
    handled = group((replace(left, notes=()),))
    return replace(handled, on_failure=before, notes=(*left.notes, *end.notes, *after), is_end=True)


def _needed(entries: tuple[Entry, ...]) -> tuple[Entry, ...]:
    if notes_only(entries) and not any(entry.is_open for entry in entries if isinstance(entry, Note)):
        return entries
    if notes_only(entries):
        raise NotCarried(next(entry.text for entry in entries if isinstance(entry, Note) and entry.is_open))
    return entries


def translate_pipeline(node: Pipeline, context: Context) -> tuple[Entry, ...]:
    """Translate a pipe into a command, or out of one into a log; raise NotCarried."""
    scope = context.scope
    first, *others = node.commands
    if len(others) == 1 and isinstance(first, Simple) and isinstance(others[0], Simple):
        text = input_of(first, scope)
        if text is not None:
            return _with_input(others[0], text, context, is_endless=first.program == "yes")
    names = [one.program if isinstance(one, Simple) else "" for one in others]
    unknown = [name for name in names if name not in _READERS and name not in _MAILERS]
    if unknown:
        raise NotCarried(
            f'the output of the command is read by "{unknown[0] or "a statement of the shell"}": '
            "let the command do that, or write another one that reads it with capture and stdin"
        )
    made = context.statement(first, scope)
    step = as_one(made)
    if step is None:
        raise NotCarried("not a management command: write one, or keep it in the shell before or after the run")
    notes = [
        Note(line=node.line, subject=f"| {one.source}", text=_reader(name))
        for one, name in zip(others, names, strict=True)
    ]
    if not scope.sees_pipe_failures:
        text = "the shell ignored a failure before the pipe; here it counts: add continue_on_error if it may fail"
        notes.append(Note(line=node.line, text=text))
    return (replace(step, notes=(*step.notes, *notes)),)


def _reader(name: str | None) -> str:
    if name in _MAILERS:
        return 'add mail_run_report to on_failure, or a reporter of RUNBOOK["REPORTERS"] to "notify"'
    return _READERS[name or ""]


def _with_input(command: Simple, text: str, context: Context, *, is_endless: bool) -> tuple[Entry, ...]:
    step = as_one(context.statement(command, context.scope))
    if step is None or step.command is None or step.stdin is not None:
        raise NotCarried("not a management command: write one, or keep it in the shell before or after the run")
    notes = step.notes
    if is_endless:
        note = "yes repeats its answer without end; this is one: --no-input may answer all questions"
        notes = (*notes, Note(line=command.line, text=note))
    return (replace(step, stdin=text, notes=notes),)
