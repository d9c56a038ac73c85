"""Defines what a rule of planning receives."""

from __future__ import annotations

from django_runbook.binding.binder import Binder
from django_runbook.document.runbook import CommandStep
from django_runbook.planning.planned_step import PlannedStep
from django_runbook.structs import Struct


class BoundStep(Struct):
    """Holds a planned step, and the binder that knows the commands of the project.

    A loop is a planned step, and so is each of its items.
    """

    planned: PlannedStep
    binder: Binder

    @property
    def command(self) -> CommandStep | None:
        """Return the step if its command is bound; None for a loop, a group and a called runbook."""
        step = self.planned.step
        return step if isinstance(step, CommandStep) and not self.planned.is_loop else None
