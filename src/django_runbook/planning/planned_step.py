"""Defines a planned step, and names its instances in loops."""

from __future__ import annotations

from django_runbook.binding.argv import Binding
from django_runbook.document.inputs import Inputs
from django_runbook.document.runbook import Step
from django_runbook.results import Role
from django_runbook.structs import Struct, field


class PlannedStep(Struct):
    """Plans a step at its place, with its tokens if it is a command; ``is_final`` if the run cannot change them.

    A step in a loop has one for each known item, whose ``id`` is made by `instance_id`. The loop itself has one too,
    with the number of its items, or None if it is not known before the run. A step with ``is_skipped`` has a condition,
    or one around it, that is known to be false now. ``inputs`` are the known inputs of a called runbook.
    """

    id: str
    key: str
    step: Step
    role: Role = Role.STEP
    group_ids: tuple[str, ...] = ()
    binding: Binding = field(default_factory=Binding)
    is_final: bool = True
    is_loop: bool = False
    item_count: int | None = None
    is_skipped: bool = False
    inputs: Inputs | None = None


def instance_id(key: str, indexes: tuple[int | str, ...]) -> str:
    """Return the id of a step in loops: ``import[2]``, or ``import[2,1]`` in nested loops."""
    return f"{key}[{','.join(map(str, indexes))}]" if indexes else key
