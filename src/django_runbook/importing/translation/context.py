"""Holds what the translators of single kinds of statements call for those inside a statement."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from django_runbook.importing.draft import Entry, Note, StepDraft, notes_of, steps_of
from django_runbook.importing.shell.nodes import Node
from django_runbook.importing.translation.scope import ShellScope
from django_runbook.structs import Struct, replace


class StepBlock(Struct):
    """Holds the steps of a list, and whether its first failure ends it."""

    entries: tuple[Entry, ...]
    fail_fast: bool = True


class Context(Struct):
    """Translates statements in a scope.

    ``statement`` gives entries whose first failure is that of the statement; it raises NotCarried. ``block``
    translates a list of statements, and keeps what is not carried over as comments.
    """

    scope: ShellScope
    statement: Callable[[Node, ShellScope], tuple[Entry, ...]]
    block: Callable[[Sequence[Node], ShellScope], StepBlock]

    def within(self, scope: ShellScope) -> Context:
        """Return a context with another scope."""
        return replace(self, scope=scope)

    def inside(self, statements: Sequence[Node], scope: ShellScope | None = None) -> tuple[Entry, ...]:
        """Translate statements to entries whose first failure counts."""
        made = self.block(statements, self.scope if scope is None else scope)
        return flattened(made)


def flattened(block: StepBlock) -> tuple[Entry, ...]:
    """Return the entries of a block; one that continues after a failure becomes a group."""
    steps = steps_of(block.entries)
    if block.fail_fast or len(steps) < 2:
        return block.entries
    return (group(block.entries, fail_fast=False),)


def group(entries: tuple[Entry, ...], *, fail_fast: bool = True, notes: tuple[Note, ...] = ()) -> StepDraft:
    """Return a group of some entries."""
    line = min((entry.line for entry in entries), default=0)
    return StepDraft(line=line, steps=entries, fail_fast=fail_fast, notes=notes)


def as_one(entries: tuple[Entry, ...]) -> StepDraft | None:
    """Return entries as one step: a group if there are several; None if there are only comments."""
    steps = steps_of(entries)
    if not steps:
        return None
    if len(steps) > 1:
        return group(entries)
    place = entries.index(steps[0])
    before = tuple(entry for entry in entries[:place] if isinstance(entry, Note))
    after = tuple(entry for entry in entries[place + 1 :] if isinstance(entry, Note))
    return replace(steps[0], notes=(*before, *steps[0].notes, *after))


def with_id(step: StepDraft, scope: ShellScope) -> tuple[StepDraft, str]:
    """Return a step that expressions can refer to, and its id."""
    if step.id is not None:
        return step, step.id
    first = next((one for one in steps_of(step.steps)), step) if step.command is None else step
    new_id = scope.names.new_id(first.name)
    return replace(step, id=new_id), new_id


def only_when(entries: tuple[Entry, ...], condition: str) -> tuple[Entry, ...]:
    """Return entries that run only if a condition is true."""
    step = as_one(entries)
    if step is None or condition == "true":
        return entries
    return (replace(step, when=(condition, *step.when)),)


def notes_only(entries: tuple[Entry, ...]) -> bool:
    """Return whether nothing of some statements was carried over."""
    return len(notes_of(entries)) == len(entries)


def conditional_errexit(line: int) -> Note:
    """Say that a statement which may not run turns "set -e" on or off for those that follow."""
    text = "it changes what a failure does after this statement, too: the steps below behave as without it"
    return Note(line=line, subject="set -e or +e", text=text, is_open=True)
