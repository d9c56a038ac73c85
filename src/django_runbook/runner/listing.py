"""A Plan to the texts of ``--plan`` and ``--list``."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping

from django_runbook.binding.checking import UNKNOWN
from django_runbook.binding.plan import Plan, PlannedStep
from django_runbook.document.expressions import Expression, Template
from django_runbook.document.runbook import CommandStep
from django_runbook.results import Role
from django_runbook.runner.masking import MASK, Mask


def plan(planned: Plan, left_out: Mapping[str, str], *, mask: Mask) -> str:
    """Every step with its arguments; ``?`` where one depends on an output."""
    return "".join(f"{line}\n" for line in _plan_lines(planned, left_out, mask))


def steps(planned: Plan, left_out: Mapping[str, str], *, mask: Mask) -> str:
    """Every step with its id, its name and its tags."""
    width = max((len(step_id) + 2 * len(item.group_ids) for step_id, item in planned.steps.items()), default=0)
    return "".join(f"{line}\n" for line in _list_lines(planned, left_out, width=width))


def _plan_lines(planned: Plan, left_out: Mapping[str, str], mask: Mask) -> Iterator[str]:
    yield f"{planned.runbook.name} ({planned.runbook.path})"
    for name, value in planned.inputs.params.items():
        yield f"  {name} = {mask(str(value))}"
    role = Role.STEP
    for step_id, item in planned.steps.items():
        if item.role is not role and not item.group_ids:
            role = item.role
            yield f"{role}:"
        yield from _plan_step(step_id, item, left_out, mask)


def _plan_step(step_id: str, item: PlannedStep, left_out: Mapping[str, str], mask: Mask) -> Iterator[str]:
    indent, step = "  " * (len(item.group_ids) + 1), item.step
    notes = [f"when {step.when.source}"] if step.when is not None else []
    if step_id in left_out:
        notes.append(f"left out by {left_out[step_id]}")
    if not isinstance(step, CommandStep):
        yield f"{indent}{_name(step.name)}:" + (f"  # {', '.join(notes)}" if notes else "")
        return
    if step.no_log:
        words = [str(step.command[0].value), MASK]
    else:
        words = [str(step.command[0].value), *(_shown(token, mask) for token in item.binding.tokens)]
    yield f"{indent}{' '.join(words)}" + (f"  # {', '.join(notes)}" if notes else "")


def _shown(token: str, mask: Mask) -> str:
    masked = mask(token)
    return masked.replace(UNKNOWN, "?") if UNKNOWN in masked else shlex.quote(masked)


def _list_lines(planned: Plan, left_out: Mapping[str, str], *, width: int) -> Iterator[str]:
    for step_id, item in planned.steps.items():
        label = "  " * len(item.group_ids) + step_id
        name = _name(item.step.name)
        parts = [name if name != step_id else ""]
        if item.role is not Role.STEP:
            parts.append(f"({item.role})")
        if item.step.tags:
            parts.append(f"[{', '.join(item.step.tags)}]")
        if step_id in left_out:
            parts.append(f"left out by {left_out[step_id]}")
        yield f"{label:<{width}}  {'  '.join(part for part in parts if part)}".rstrip()


def _name(name: str | Template) -> str:
    if isinstance(name, str):
        return name
    return "".join(f"${{{{ {part.source} }}}}" if isinstance(part, Expression) else part for part in name.parts)
