"""Formats a Plan for ``--plan``, and its steps for ``--list``."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from django_runbook.binding.partial_text import has_holes
from django_runbook.cleaning import MASK, Mask
from django_runbook.document.expressions import as_written
from django_runbook.document.loops import label_of
from django_runbook.document.outline import Entry, queue_of, steps_around
from django_runbook.document.runbook import CallStep, CommandStep, GroupStep, LockSettings, Step
from django_runbook.planning.plan import Plan
from django_runbook.planning.planned_step import PlannedStep
from django_runbook.results import Role
from django_runbook.structs import Struct
from django_runbook.wording import exact_duration


class PlanNotes(Struct):
    """Holds what is known about a plan besides: a note on each step and lines below it by its ID, and last lines."""

    of_step: Callable[[str], str] = lambda step_id: ""
    last_line: str = ""
    below: Callable[[str], Sequence[str]] = lambda step_id: ()
    others: str = ""


def show_plan(planned: Plan, unselected: Mapping[str, str], *, mask: Mask, notes: PlanNotes | None = None) -> str:
    """Show every step with its arguments; a value that depends on an output is shown as ``?``."""
    notes = notes or PlanNotes()
    last = [mask(line) for line in (notes.others, notes.last_line) if line]
    return "".join(f"{line}\n" for line in (*_plan_lines(planned, unselected, mask, notes), *last))


def list_steps(planned: Plan, unselected: Mapping[str, str], *, mask: Mask) -> str:
    """Show every step with its id, its name and its tags."""
    width = max((len(key) + 2 * len(entry.group_keys) for key, entry in planned.outline.items()), default=0)
    lines = (_list_line(planned, entry, unselected, width=width) for entry in planned.outline.values())
    return "".join(f"{mask(line)}\n" for line in lines)


def _plan_lines(planned: Plan, unselected: Mapping[str, str], mask: Mask, notes: PlanNotes) -> Iterator[str]:
    yield f"{planned.runbook.name} ({planned.runbook.path})"
    for name, value in planned.inputs.params.items():
        yield f"  {name} = {label_of(value, mask=mask)}"
    for variable in planned.runbook.env:
        known = planned.inputs.env.get(variable.name)
        yield f"  env.{variable.name} = {'?' if known is None else label_of(known, mask=mask)}"
    before: tuple[tuple[str, ...], Role] | None = None
    for item in planned.steps.values():
        around = planned.steps[item.group_ids[-1]].role if item.group_ids else Role.STEP
        if item.role is not around and before != (item.group_ids, item.role):
            yield f"{'  ' * len(item.group_ids)}{item.role}:"
        before = (item.group_ids, item.role)
        words = "" if item.is_loop else " ".join((*_env(item, planned, mask), *command_line(item, planned, mask=mask)))
        more = [*_command_notes(item, planned, mask), *filter(None, [notes.of_step(item.id)])]
        yield mask(_plan_line(item, unselected, words, more=more))
        indent = "  " * (len(item.group_ids) + 2)
        yield from (mask(f"{indent}{line}") for line in notes.below(item.id))


def command_line(item: PlannedStep, planned: Plan, *, mask: Mask) -> tuple[str, ...]:
    """Return the words of a command as a shell would read them; empty for a step that is not a command.

    With ``no_log``, also of a group around the step, its arguments are masked.
    """
    step = item.step
    if not isinstance(step, CommandStep):
        return ()
    name = str(step.command[0].value)
    if _is_hidden(item, planned):
        return (name, MASK)
    return (name, *(_shown(token, mask) for token in item.binding.tokens))


def _env(item: PlannedStep, planned: Plan, mask: Mask) -> Iterator[str]:
    """Yield the variables that a command is started with, as a shell would read them."""
    env = item.binding.process.env
    removed = [name for name, value in env.items() if value is None]
    if removed:
        yield f"env {' '.join(f'-u {name}' for name in removed)}"
    for name, value in env.items():
        if value is not None:
            yield f"{name}={MASK if _is_hidden(item, planned) else _shown(value, mask)}"


def _is_hidden(item: PlannedStep, planned: Plan) -> bool:
    return item.step.no_log or any(planned.steps[group_id].step.no_log for group_id in item.group_ids)


def _command_notes(item: PlannedStep, planned: Plan, mask: Mask) -> Iterator[str]:
    stdin = item.binding.process.stdin
    if stdin is not None:
        yield f"stdin {MASK if _is_hidden(item, planned) else label_of(stdin, mask=mask)}"
    queue = queue_of(item.step, (planned.steps[group_id].step for group_id in reversed(item.group_ids)))
    if queue is not None:
        yield f"on queue {queue}"


def _plan_line(item: PlannedStep, unselected: Mapping[str, str], words: str, *, more: Iterable[str]) -> str:
    indent, step = "  " * (len(item.group_ids) + 1), item.step
    is_item = step.for_each is not None and not item.is_loop
    notes = list(_notes_of_item(step) if is_item else _notes(item))
    notes += more
    if item.key in unselected and not is_item:
        notes.append(f"excluded by {unselected[item.key]}")
    return f"{indent}{words or f'{as_written(step.name)}:'}" + (f"  # {', '.join(notes)}" if notes else "")


def _notes(item: PlannedStep) -> Iterator[str]:
    step = item.step
    if step.when is not None:
        yield f"when {step.when.source}"
    if step.for_each is not None:
        count = "?" if item.item_count is None else item.item_count
        together = f", {step.items_at_once} at a time" if step.items_at_once > 1 else ""
        noun = "shard" if isinstance(step, CommandStep) and step.shards is not None else "item"
        yield f"for each of {count} {noun}{'' if count == 1 else 's'}{together}"
    else:
        yield from _notes_of_item(step)


def _notes_of_item(step: Step) -> Iterator[str]:
    if isinstance(step, GroupStep) and step.block.is_parallel:
        most = step.block.max_parallel
        yield f"together, at most {most}" if most is not None else "together"
    if isinstance(step, CallStep):
        yield f"runbook {step.runbook.path}"
    if step.lock is not None:
        yield _lock(step.lock)
    if step.timeout_seconds is not None:
        yield f"timeout {exact_duration(step.timeout_seconds)}"
    elif isinstance(step, CommandStep) and step.isolate:
        yield "isolated"


def _lock(settings: LockSettings) -> str:
    conflict = "" if settings.on_conflict == "fail" else f" or {settings.on_conflict}"
    return f"lock {as_written(settings.name)}{conflict}"


def _shown(token: str, mask: Mask) -> str:
    return mask(token) if has_holes(token) else shlex.quote(mask(token))


def _list_line(planned: Plan, entry: Entry, unselected: Mapping[str, str], *, width: int) -> str:
    label = "  " * len(entry.group_keys) + entry.key
    name = as_written(entry.step.name)
    parts = [name if name != entry.step.id else ""]
    if entry.role is not Role.STEP:
        parts.append(f"({entry.role})")
    if entry.step.tags:
        parts.append(f"[{', '.join(entry.step.tags)}]")
    queue = queue_of(entry.step, steps_around(entry, planned.outline))
    if queue is not None:
        parts.append(f"on queue {queue}")
    if entry.key in unselected:
        parts.append(f"excluded by {unselected[entry.key]}")
    return f"{label:<{width}}  {'  '.join(part for part in parts if part)}".rstrip()
