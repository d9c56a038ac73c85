"""Refuses to resume a loop whose items have changed, since completed items are identified only by their numbers."""

from __future__ import annotations

from django_runbook.cleaning import Mask
from django_runbook.document.expressions import ExpressionError
from django_runbook.document.inputs import Inputs
from django_runbook.document.loops import digest_of, items_of, label_of, other_item
from django_runbook.document.outline import Entry, key_of
from django_runbook.document.runbook import Step
from django_runbook.exceptions import InvalidUsage
from django_runbook.models import StepRun
from django_runbook.planning.plan import Plan
from django_runbook.resume.rows import RunRows, is_done


def refuse_other_items(rows: RunRows, plan: Plan, *, mask: Mask) -> None:
    """Raise InvalidUsage if a loop has other items at the numbers of items that were started or completed."""
    for loop in rows.latest.values():
        entry = plan.outline.get(key_of(loop.step_id))
        if loop.step_id not in rows.loops or entry is None:
            continue
        items = _items_now(entry.step, _inputs_of(loop, plan))
        if items is not None:
            _refuse_in_loop(loop, entry, items, rows=rows, plan=plan, mask=mask)


def has_item(row: StepRun) -> bool:
    """Return whether a row belongs to a loop item that was started or completed."""
    return bool(row.item_hash) and (row.started_at is not None or is_done(row))


def _refuse_in_loop(
    loop: StepRun, entry: Entry, items: tuple[object, ...], *, rows: RunRows, plan: Plan, mask: Mask
) -> None:
    for step_id, row in rows.latest.items():
        number = _number_in_loop(loop.step_id, step_id)
        if number == 0:
            continue
        item = items[number - 1] if number <= len(items) else None
        if number <= len(items) and (not has_item(row) or row.item_hash == digest_of(item, mask=mask)):
            continue
        now = None
        if number <= len(items):
            is_hidden = any(plan.outline[key].step.no_log for key in (entry.key, *entry.group_keys))
            now = str(number) if is_hidden else label_of(item, mask=mask)
        raise InvalidUsage(other_item(loop.step_id, number, before=row.name, now=now))


def _number_in_loop(loop_id: str, step_id: str) -> int:
    """Return the number of the item of this loop that a step is; 0 if it is not an item of this loop."""
    start = f"{loop_id[:-1]}," if loop_id.endswith("]") else f"{loop_id}["
    rest = step_id.removeprefix(start).removesuffix("]")
    return int(rest) if step_id.startswith(start) and rest.isdecimal() else 0


def _inputs_of(loop: StepRun, plan: Plan) -> Inputs | None:
    """Return the known values at a loop: those of the file, or of the called runbook around the loop."""
    path = key_of(loop.step_id).rpartition("/")[0]
    if not path:
        return plan.inputs
    planned = plan.steps.get(path)
    return planned.inputs if planned is not None and planned.is_final else None


def _items_now(step: Step, inputs: Inputs | None) -> tuple[object, ...] | None:
    """Return the items of a loop; None if they are known only at run time."""
    if step.for_each is None or inputs is None or not inputs.is_static(step.for_each):
        return None
    try:
        return items_of(step.for_each, inputs.context())
    except ExpressionError:
        return None
