"""Names steps and the items of loops for reports."""

from __future__ import annotations

from typing import Final

from django_runbook.cleaning import Mask
from django_runbook.document.expressions import ExpressionError, render_text
from django_runbook.document.loops import label_of
from django_runbook.document.runbook import Step
from django_runbook.process.streams import clean_text
from django_runbook.results import Failure
from django_runbook.runner import outcomes
from django_runbook.runner.step_scope import Scope

# A name may contain an output, and is drawn on a screen many times.
_MAX_NAME: Final = 200


def name_of(
    step: Step, scope: Scope, mask: Mask, *, label: str = "", is_dry_run: bool = False
) -> tuple[str, Failure | None]:
    """Return the name of a step, or its id and a failure if the name has no value; a dry run does not fail."""
    if isinstance(step.name, str):
        return f"{step.name} ({label})" if label else step.name, None
    if step.for_each is not None and not label:
        return step.id, None
    try:
        name = clean_text(render_text(step.name, scope.context()), mask)
    except ExpressionError as error:
        return step.id, None if is_dry_run else outcomes.of_expression(error, mask, is_hidden=scope.is_hidden)
    # A name that cannot be seen names nothing.
    name = " ".join(name.split("\n")).strip() or step.id
    return (name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"), None


def label_in(scope: Scope, item: object, mask: Mask) -> str:
    """Return the label of a loop's item in the scope of that item; it is the number if values are hidden."""
    return str(scope.indexes[-1]) if scope.is_hidden else label_of(item, mask=mask)


def safe_label_in(scope: Scope, item: object, mask: Mask) -> str:
    """Return the label of an item that is not run, which cannot fail."""
    try:
        return label_in(scope, item, mask)
    except Exception:  # noqa: BLE001 - a step that runs reports what is wrong with the item
        return str(scope.indexes[-1])
