"""Defines the scope of a running step: the names it can use, its groups, locks and limits."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, MutableMapping
from typing import Any

from django_runbook.document.inputs import Inputs
from django_runbook.document.runbook import Step
from django_runbook.document.views import StepView
from django_runbook.locks.held import HeldLock
from django_runbook.planning.planned_step import instance_id
from django_runbook.process.deadlines import Halt, Limit
from django_runbook.results import Role
from django_runbook.runner.loop_progress import LoopProgress
from django_runbook.structs import Struct, field, replace

Views = MutableMapping[str, StepView]


class Scope(Struct):
    """Holds the scope of a step. ``views`` are the steps that it can name; it adds itself to them.

    ``is_isolated`` says that commands run in processes of their own, ``is_concurrent`` that other steps run at the same
    time, ``is_hidden`` that output is not shown, and ``is_fail_fast`` that the items of a loop end at a failure.
    ``is_retry`` says that a group around it is retried: earlier attempts do not count in it. ``queue`` is that of the
    groups around it. ``loop_progress`` adds up the progress of the items of a loop.
    """

    inputs: Inputs
    run_names: Mapping[str, object]
    halt: Halt
    views: Views = field(default_factory=dict)
    limit: Limit = field(default_factory=Limit)
    locks: tuple[HeldLock, ...] = ()
    role: Role = Role.STEP
    file: str = ""
    prefix: str = ""
    indexes: tuple[int, ...] = ()
    group_ids: tuple[str, ...] = ()
    is_isolated: bool = False
    is_concurrent: bool = False
    is_hidden: bool = False
    is_fail_fast: bool = True
    is_retry: bool = False
    queue: str | bool | None = None
    loop_progress: LoopProgress | None = None

    def context(self) -> Mapping[str, object]:
        """Return the names of an expression."""
        return self.inputs.context(steps=self.views, run=self.run_names)

    def key(self, step: Step) -> str:
        """Return the key of a step in this scope, the same for all items of a loop."""
        return self.prefix + step.id

    def id(self, step: Step) -> str:
        """Return the id of a step in this scope."""
        return instance_id(self.key(step), self.indexes)

    def inside(self, group_id: str, **changes: Any) -> Scope:
        """Return the scope of the steps in a group."""
        return replace(self, group_ids=(*self.group_ids, group_id), **changes)

    def for_item(self, number: int, item: object, *, loop_id: str) -> Scope:
        """Return the scope of one item, whose steps no other item can name."""
        return self.inside(
            loop_id, inputs=self.inputs.with_item(item), indexes=(*self.indexes, number), views=layered(self.views)
        )

    def holds(self, name: str) -> bool:
        """Return whether a group around the step holds the lock of this name."""
        return any(lock.name == name for lock in self.locks)


def layered(views: Views) -> Views:
    """Return views that contain the same steps; additions do not show in the original."""
    return ChainMap({}, views)
