"""What ended in an earlier attempt of a run to what this attempt knows of it, without running it again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from django_runbook.document.outline import lists_of
from django_runbook.document.runbook import Block, CallStep, GroupStep, Step
from django_runbook.results import Past, PastStep, Role, StepResult, StepStatus
from django_runbook.runner.scope import Scope
from django_runbook.runner.telling import EMPTY, NO_ITEMS, Teller

REASON = "finished before"


@dataclass(frozen=True, slots=True, kw_only=True)
class Restorer:
    """Finishes steps with the results that they had, so that later expressions find their outputs."""

    past: Past
    teller: Teller

    def restore(self, step: Step, scope: Scope, ended: PastStep) -> StepResult:
        """Finish a step as it ended before, and all that stands in it."""
        seen: dict[str, Any] = {"output": ended.output} if ended.has_output else {}
        # An item of a loop has the same step; that it has no items of its own tells it from the loop.
        if step.for_each is not None and self._has_items(step, scope):
            seen |= self._items(step, scope)
        elif ended.result.reason == NO_ITEMS:
            seen |= EMPTY
        elif isinstance(step, GroupStep):
            self._block(step.block, scope.inside(scope.id(step)))
        elif isinstance(step, CallStep):
            inner = scope.inside(scope.id(step), views={}, prefix=f"{scope.key(step)}/", file=step.runbook.path)
            self._block(step.runbook.block, inner)
        reason = ended.result.reason or REASON
        result = replace(ended.result, is_past=True, reason=reason, role=scope.role)
        return self.teller.finish(step, scope, result, seen)

    def _ended(self, step_id: str) -> PastStep | None:
        return self.past.done.get(step_id) or self.past.below.get(step_id)

    def _has_items(self, step: Step, scope: Scope) -> bool:
        return self._ended(scope.for_item(1, None, loop_id="").id(step)) is not None

    def _items(self, step: Step, scope: Scope) -> dict[str, object]:
        """The results of a loop's items, and their outputs where each has one."""
        views = []
        number = 1
        while True:
            inner = scope.for_item(number, None, loop_id=scope.id(step))
            ended = self._ended(inner.id(step))
            if ended is None:
                break
            self.restore(step, inner, ended)
            views.append(inner.views[step.id])
            number += 1
        seen: dict[str, object] = {"results": views}
        if all("output" in view for view in views):
            seen["output"] = [view["output"] for view in views]
        return seen

    def _block(self, block: Block, scope: Scope) -> None:
        for role, steps in lists_of(block, scope.role):
            inner = replace(scope, role=role)
            for step in steps:
                ended = self._ended(inner.id(step)) if role is Role.STEP else None
                if ended is not None:
                    self.restore(step, inner, ended)
                else:
                    self.teller.leave(step, inner, StepStatus.SKIPPED, reason=REASON, is_told=False)
