"""Runs the loop of a step: once for each item of its ``for_each``."""

from __future__ import annotations

import time
from collections.abc import Callable

from django_runbook.cleaning import Mask
from django_runbook.document.loops import digest_of, other_item
from django_runbook.document.runbook import CommandStep, Step
from django_runbook.exceptions import ItemsChanged
from django_runbook.process.failures import named_failure
from django_runbook.results import Failure, StepResult, StepStatus
from django_runbook.runner.block_state import BlockState
from django_runbook.runner.emitter import Emitter
from django_runbook.runner.finishing import StepFinisher
from django_runbook.runner.loop_progress import LoopProgress
from django_runbook.runner.members import Member, MemberRunner
from django_runbook.runner.naming import label_in, safe_label_in
from django_runbook.runner.recorder import Recorder
from django_runbook.runner.step_scope import Scope
from django_runbook.structs import Struct, replace

Items = tuple[object, ...]


class LoopRunner(Struct):
    """Runs loops with ``run_item``, which runs a step for one item; ``succeeded_counts`` counts the passes by loop."""

    run_item: Callable[[Step, object, Scope], StepResult]
    members: MemberRunner
    finisher: StepFinisher
    emitter: Emitter
    recorder: Recorder
    mask: Mask
    succeeded_counts: dict[str, int]

    def run(self, step: Step, items: Items, scope: Scope, *, name: str) -> StepResult:
        """Run a step for each item, as many at a time as its file says."""
        started = time.monotonic()
        self.emitter.start(step, scope, name, item_count=len(items))
        state = BlockState()
        scopes = self._scopes(step, items, scope)
        if step.items_at_once > 1:
            branch = self.members.branch(scope)
            scopes = [replace(inner, halt=branch, is_isolated=True, is_concurrent=True) for inner in scopes]
            members = self._members(step, items, scopes)
            self.members.run_concurrently(members, state, at_once=step.items_at_once, branch=branch)
        else:
            self.members.run_in_order(self._members(step, items, scopes), state)
        return self._finish(step, scope, state, scopes, name=name, duration_seconds=time.monotonic() - started)

    def changed_items(self, step: Step, items: Items, scope: Scope) -> Failure | None:
        """Return the failure of a resumed loop whose items changed; items are identified by their number.

        Items that depend on an output can be compared only now, not before the run.
        """
        past = self.finisher.past_in(scope)
        loop_id = scope.id(step)
        for number, item in enumerate(items, start=1) if past.items else ():
            inner = scope.for_item(number, item, loop_id=loop_id)
            step_id = inner.id(step)
            before = past.items.get(step_id)
            # A failed command completed nothing; in a failed group, some steps may be complete.
            if before is None or (isinstance(step, CommandStep) and step_id not in past.done):
                continue
            if before.item_hash != digest_of(item, mask=self.mask):
                message = other_item(loop_id, number, before=before.name, now=label_in(inner, item, self.mask))
                return named_failure(ItemsChanged, message)
        return None

    def _scopes(self, step: Step, items: Items, scope: Scope) -> list[Scope]:
        scopes = []
        progress = self._progress(step, items, scope)
        for number, item in enumerate(items, start=1):
            inner = replace(scope.for_item(number, item, loop_id=scope.id(step)), loop_progress=progress)
            self.recorder.keep_item(inner.id(step), item)
            scopes.append(inner)
        return scopes

    def _progress(self, step: Step, items: Items, scope: Scope) -> LoopProgress | None:
        if not isinstance(step, CommandStep) or step.shards is None:
            return None
        inner = (scope.for_item(number, item, loop_id=scope.id(step)) for number, item in enumerate(items, start=1))
        return LoopProgress(count=sum(not self.finisher.is_done(step, one) for one in inner))

    def _members(self, step: Step, items: Items, scopes: list[Scope]) -> list[Member]:
        def member(item: object, scope: Scope) -> Member:
            return Member(
                step=step,
                scope=scope,
                run=lambda: self.run_item(step, item, scope),
                label=lambda: safe_label_in(scope, item, self.mask),
            )

        return [member(item, scope) for item, scope in zip(items, scopes, strict=True)]

    def _finish(
        self,
        step: Step,
        scope: Scope,
        state: BlockState,
        scopes: list[Scope],
        *,
        name: str,
        duration_seconds: float,
    ) -> StepResult:
        if scope.limit.first is not None and scope.limit.is_over:
            state.expire(scope.limit.first)
        ended = state.result()
        if ended.status is StepStatus.SUCCEEDED:
            self.succeeded_counts[scope.id(step)] = self.succeeded_counts.get(scope.id(step), 0) + 1
        views = [inner.views[step.id] for inner in scopes]
        seen: dict[str, object] = {"results": views}
        if all("output" in view for view in views):
            seen["output"] = [view["output"] for view in views]
        result = StepResult(
            step_id=scope.id(step),
            name=name,
            status=ended.status,
            role=scope.role,
            duration_seconds=duration_seconds,
            attempt_count=1,
            failure=ended.failure,
            # `continue_on_error` applies to each item; the loop is as good as its items.
            is_group=True,
            file=scope.file,
            line=step.span.line,
        )
        return self.emitter.finish(step, scope, result, seen)
