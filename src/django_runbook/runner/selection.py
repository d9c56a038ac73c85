"""What a person asks for on the command line to the steps that are left out, each with the reason."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from django_runbook.binding.plan import PlannedStep
from django_runbook.document.diagnostics import nearest
from django_runbook.exceptions import InvalidUsage
from django_runbook.results import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Ids of steps or groups, and tags."""

    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    start_at: str | None = None
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()


def leave_out(steps: Mapping[str, PlannedStep], selection: Selection) -> dict[str, str]:
    """The ids of the commands that are not selected, with the reason; raises InvalidUsage.

    Handlers and ``finally`` always belong to a run, unless ``--skip`` or ``--skip-tags`` names them.
    """
    problems = list(_problems(steps, selection))
    if problems:
        raise InvalidUsage("\n".join(problems))
    if selection == Selection():
        return {}
    order = list(steps)
    first = order.index(selection.start_at) if selection.start_at else 0
    return {
        step_id: reason
        for index, (step_id, planned) in enumerate(steps.items())
        if (reason := _reason(step_id, planned, steps, selection, is_before=index < first))
    }


def _reason(
    step_id: str, planned: PlannedStep, steps: Mapping[str, PlannedStep], selection: Selection, *, is_before: bool
) -> str:
    names = {step_id, *planned.group_ids}
    tags = {tag for name in names for tag in steps[name].step.tags}
    if names & set(selection.skip):
        return "--skip"
    if tags & set(selection.skip_tags):
        return "--skip-tags"
    if planned.role is not Role.STEP:
        return ""
    is_group_of_start = selection.start_at is not None and step_id in steps[selection.start_at].group_ids
    if is_before and not is_group_of_start:
        return "--start-at"
    below = {name for name, other in steps.items() if step_id in other.group_ids}
    if selection.only and not (names | below) & set(selection.only):
        return "--only"
    tags_below = {tag for name in below for tag in steps[name].step.tags}
    if selection.tags and not (tags | tags_below) & set(selection.tags):
        return "--tags"
    return ""


def _problems(steps: Mapping[str, PlannedStep], selection: Selection) -> Iterator[str]:
    start = (selection.start_at,) if selection.start_at else ()
    for option, names in (("--only", selection.only), ("--skip", selection.skip), ("--start-at", start)):
        yield from _unmatched(option, names, known=steps, what="step")
    tags = list(dict.fromkeys(tag for planned in steps.values() for tag in planned.step.tags))
    for option, names in (("--tags", selection.tags), ("--skip-tags", selection.skip_tags)):
        yield from _unmatched(option, names, known=tags, what="tag")
    first = steps.get(selection.start_at or "")
    if first is not None and first.role is not Role.STEP:
        yield f'--start-at {selection.start_at}: the step belongs to "{first.role}", which runs last'


def _unmatched(option: str, names: Collection[str], *, known: Collection[str], what: str) -> Iterator[str]:
    for name in names:
        if name not in known:
            near = nearest(name, known)
            hint = f'"{near}" is near' if near else f"the {what}s are: {', '.join(known) or 'none'}"
            yield f'{option} {name}: there is no {what} "{name}"; {hint}'
