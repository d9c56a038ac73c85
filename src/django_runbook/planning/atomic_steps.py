"""Reports atomic steps whose command cannot be part of one transaction with its history."""

from __future__ import annotations

from collections.abc import Iterator

from django_runbook.binding.database_option import database_of
from django_runbook.binding.partial_text import has_holes
from django_runbook.document.diagnostics import Diagnostic, diagnose
from django_runbook.planning.bound_step import BoundStep


def check_atomic_batch(bound: BoundStep) -> Iterator[Diagnostic]:
    """Report an atomic step whose command commits each batch."""
    step = bound.command
    if step is None or not step.atomic or not bound.binder.is_batch(step):
        return
    message = f'"{step.command[0].value}" commits each batch, which is impossible in one transaction'
    help_text = 'remove "atomic": an interrupted batch command continues after its last batch'
    yield diagnose("RB420", message=message, span=step.span, help_text=help_text)


def check_atomic_database(bound: BoundStep) -> Iterator[Diagnostic]:
    """Report an atomic step that works on a database other than that of the journal."""
    step, alias = bound.command, bound.binder.atomic_alias
    if step is None or not step.atomic or bound.binder.is_batch(step):
        return
    used = database_of(bound.planned.binding.tokens)
    if used == alias or has_holes(used):
        return
    message = f'the step commits together with its row in the database "{alias}", but its command uses "{used}"'
    help_text = 'remove "atomic", or keep the history in the database that the command writes to'
    yield diagnose("RB419", message=message, span=step.span, help_text=help_text)
