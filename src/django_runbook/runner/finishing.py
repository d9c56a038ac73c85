"""Finishes steps without running them: restored from an earlier attempt, skipped, or not run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from django_runbook.cleaning import Mask
from django_runbook.document.outline import lists_of
from django_runbook.document.runbook import Block, CallStep, CommandStep, GroupStep, Step
from django_runbook.results import AttemptResult, Role, StepResult, StepStatus
from django_runbook.runner.emitter import Emitter
from django_runbook.runner.past import Past, PastStep
from django_runbook.runner.step_scope import Scope
from django_runbook.runner.until import check_until
from django_runbook.structs import Struct, replace

NO_ITEMS: Final = "for_each: no items"
FINISHED_BEFORE: Final = "completed earlier"
# A loop without items has been through all of them.
EMPTY: Final[Mapping[str, object]] = {"results": [], "output": []}
_NO_PAST: Final = Past()


class StepFinisher(Struct):
    """Finishes steps that are not run; ``past`` holds what earlier attempts of the run completed."""

    past: Past
    emitter: Emitter
    mask: Mask

    def past_in(self, scope: Scope) -> Past:
        """Return what earlier attempts completed here; handlers never count as done, nor does a retried group."""
        return self.past if scope.role is Role.STEP and not scope.is_retry else _NO_PAST

    def is_done(self, step: Step, scope: Scope) -> bool:
        """Return whether an earlier attempt completed this step."""
        return self._past_of(step, scope) is not None

    def restore(self, step: Step, scope: Scope) -> StepResult | None:
        """Finish a completed step with its earlier result; returns None if it is not completed."""
        past = self._past_of(step, scope)
        return None if past is None else self._restore(step, scope, past)

    def leave(
        self, step: Step, scope: Scope, status: StepStatus, *, reason: str, label: str | None = None
    ) -> StepResult:
        """Finish a step, and all steps in it, as skipped or not run. Completed steps stay completed.

        ``label`` is that of the loop's item that the step would have run for.
        """
        if (past := self.restore(step, scope)) is not None:
            return past
        result = _result_of_unrun(step, scope, status, reason=reason, label=label)
        self.emitter.finish(step, scope, result, EMPTY if reason == NO_ITEMS else {})
        if step.for_each is None or label is not None:
            for block, inner in _blocks_in(step, scope):
                self.leave_block(block, inner, status, reason=reason)
        return result

    def leave_block(self, block: Block, scope: Scope, status: StepStatus, *, reason: str) -> None:
        """Finish all steps of a block without running them; its handlers emit nothing."""
        for role, steps in lists_of(block, scope.role):
            own = replace(scope, role=role)
            for step in steps:
                if steps is block.steps:
                    self.leave(step, own, status, reason=reason)
                else:
                    self.leave_silently(step, own, status, reason=reason)

    def leave_silently(self, step: Step, scope: Scope, status: StepStatus, *, reason: str) -> None:
        """Finish a step, and all steps in it, without an event."""
        result = _result_of_unrun(step, scope, status, reason=reason, label=None)
        self.emitter.finish(step, scope, result, {}, is_emitted=False)
        if step.for_each is None:
            for block, inner in _blocks_in(step, scope):
                self.leave_block_silently(block, inner, status, reason=reason)

    def leave_block_silently(self, block: Block, scope: Scope, status: StepStatus, *, reason: str) -> None:
        """Finish all steps of a block without an event."""
        for role, steps in lists_of(block, scope.role):
            for step in steps:
                self.leave_silently(step, replace(scope, role=role), status, reason=reason)

    def _past_of(self, step: Step, scope: Scope) -> PastStep | None:
        past = self.past_in(scope).done.get(scope.id(step))
        if past is None or not past.is_until_open:
            return past
        ended = AttemptResult(status=StepStatus.SUCCEEDED)
        checked = check_until(step, scope, ended, past.output, attempt_count=past.result.attempt_count, mask=self.mask)
        return past if checked.status is StepStatus.SUCCEEDED else None

    def _restore(self, step: Step, scope: Scope, ended: PastStep) -> StepResult:
        seen: dict[str, Any] = {"output": ended.output} if ended.has_output else {}
        # An item of a loop has the same step; that it has no items of its own tells it from the loop.
        if step.for_each is not None and self._has_items(step, scope):
            seen |= self._restored_items(step, scope)
        elif ended.result.reason == NO_ITEMS:
            seen |= EMPTY
        else:
            for block, inner in _blocks_in(step, scope):
                self._restore_block(block, inner)
        reason = ended.result.reason or FINISHED_BEFORE
        result = replace(ended.result, is_past=True, reason=reason, role=scope.role)
        return self.emitter.finish(step, scope, result, seen)

    def _ended(self, step_id: str) -> PastStep | None:
        return self.past.done.get(step_id) or self.past.done_inside.get(step_id)

    def _has_items(self, step: Step, scope: Scope) -> bool:
        return self._ended(scope.for_item(1, None, loop_id="").id(step)) is not None

    def _restored_items(self, step: Step, scope: Scope) -> dict[str, object]:
        """Restore the items of a loop; returns their results, and their outputs if each has one."""
        views = []
        number = 1
        while True:
            inner = scope.for_item(number, None, loop_id=scope.id(step))
            ended = self._ended(inner.id(step))
            if ended is None:
                break
            self._restore(step, inner, ended)
            views.append(inner.views[step.id])
            number += 1
        seen: dict[str, object] = {"results": views}
        if all("output" in view for view in views):
            seen["output"] = [view["output"] for view in views]
        return seen

    def _restore_block(self, block: Block, scope: Scope) -> None:
        for role, steps in lists_of(block, scope.role):
            inner = replace(scope, role=role)
            for step in steps:
                ended = self._ended(inner.id(step)) if role is Role.STEP else None
                if ended is not None:
                    self._restore(step, inner, ended)
                else:
                    self.leave_silently(step, inner, StepStatus.SKIPPED, reason=FINISHED_BEFORE)


def _result_of_unrun(step: Step, scope: Scope, status: StepStatus, *, reason: str, label: str | None) -> StepResult:
    name = step.name if isinstance(step.name, str) else step.id
    is_loop = step.for_each is not None and label is None
    return StepResult(
        step_id=scope.id(step),
        name=f"{name} ({label})" if label else name,
        status=status,
        role=scope.role,
        reason=reason,
        is_group=is_loop or not isinstance(step, CommandStep),
        file=scope.file,
        line=step.span.line,
    )


def _blocks_in(step: Step, scope: Scope) -> Iterator[tuple[Block, Scope]]:
    """Yield the block that a step consists of, with its scope; a command has none."""
    if isinstance(step, GroupStep):
        yield step.block, scope.inside(scope.id(step))
    elif isinstance(step, CallStep):
        inner = scope.inside(scope.id(step), views={}, prefix=f"{scope.key(step)}/", file=step.runbook.path)
        yield step.runbook.block, inner
