"""Runs blocks: the steps of a file, group or parallel group, under their lock and timeout, and the handlers."""

from __future__ import annotations

from collections.abc import Callable

from django_runbook.document.runbook import Block, Runbook, Step
from django_runbook.process.clean_up import CleanUps
from django_runbook.process.deadlines import Halt
from django_runbook.process.stopping import Stop
from django_runbook.results import AttemptResult, Failure, Role, StepResult, StepStatus
from django_runbook.runner.block_state import BlockState
from django_runbook.runner.emitter import Emitter
from django_runbook.runner.finishing import StepFinisher
from django_runbook.runner.locking import Locker
from django_runbook.runner.members import Member, MemberRunner
from django_runbook.runner.step_scope import Scope, Views, layered
from django_runbook.structs import Struct, replace


class BlockRunner(Struct):
    """Runs blocks with ``run_step``, which runs each of their steps."""

    run_step: Callable[[Step, Scope], StepResult]
    members: MemberRunner
    finisher: StepFinisher
    locker: Locker
    emitter: Emitter
    stop: Stop
    keeps_going: bool
    failure_at_end: Callable[[], Failure | None] = lambda: None

    def run_runbook(self, runbook: Runbook, scope: Scope, *, owner: str) -> AttemptResult:
        """Run a whole file under its lock and its timeout; if the lock is held elsewhere, none of its steps run."""
        step_id = scope.group_ids[-1] if scope.group_ids else ""
        with self.locker.held(runbook.lock, scope, step_id=step_id) as (inner, refused):
            if refused is None:
                return self.run_block(
                    runbook.block, inner, timeout_seconds=runbook.timeout_seconds, owner=owner
                ).result()
        # A stop that came while the lock was awaited interrupts the run, not only this runbook.
        if refused.status is StepStatus.NOT_RUN:
            refused = replace(refused, status=StepStatus.INTERRUPTED)
        status = StepStatus.SKIPPED if refused.status is StepStatus.SKIPPED else StepStatus.NOT_RUN
        reason = refused.reason or (refused.failure.message if refused.failure is not None else "")
        # If nothing at all runs, the run's own reason says why.
        leave = self.finisher.leave_block if scope.group_ids else self.finisher.leave_block_silently
        leave(runbook.block, scope, status, reason=reason)
        return replace(refused, reason=reason)

    def run_block(self, block: Block, scope: Scope, *, timeout_seconds: float | None, owner: str) -> BlockState:
        """Run the steps of a block and its handlers; ``owner`` names the block in the message of its timeout."""
        inner = replace(scope, is_fail_fast=block.fail_fast and not self.keeps_going)
        if timeout_seconds is not None:
            inner = replace(inner, limit=scope.limit.within(timeout_seconds, owner=owner), is_isolated=True)
        state = BlockState()
        if block.is_parallel:
            self._run_branches(block, inner, state)
        else:
            self.members.run_in_order((self._member(step, inner) for step in block.steps), state)
        state.is_interrupted = state.is_interrupted or scope.halt.is_requested
        if inner.limit.first is not None and inner.limit.is_over:
            state.expire(inner.limit.first)
        if not scope.group_ids:
            state.failure_at_end = self.failure_at_end()
        self._run_handlers(block, state, replace(inner, limit=scope.limit))
        return state

    def _member(self, step: Step, scope: Scope) -> Member:
        return Member(step=step, scope=scope, run=lambda: self.run_step(step, scope))

    def _run_branches(self, block: Block, scope: Scope, state: BlockState) -> None:
        branch = self.members.branch(scope)
        views: list[Views] = [layered(scope.views) for _ in block.steps]
        inner = replace(scope, halt=branch, is_isolated=True, is_concurrent=True)
        members = [self._member(step, replace(inner, views=own)) for step, own in zip(block.steps, views, strict=True)]
        self.members.run_concurrently(members, state, at_once=block.max_parallel, branch=branch)
        for view in views:
            scope.views.update(getattr(view, "maps", [view])[0])

    def _run_handlers(self, block: Block, state: BlockState, scope: Scope) -> None:
        if not (block.on_success or block.on_failure or block.finally_):
            return
        # Only the run knows whether a failure was ignored anywhere in it.
        has_warnings = not scope.group_ids and self.emitter.has_warnings
        names = {**scope.run_names, **state.names_for_handlers(has_warnings=has_warnings)}
        is_failed = (state.failed is not None or state.failure_at_end is not None) and not state.is_interrupted
        is_succeeded = not is_failed and not state.is_interrupted and self.emitter.error is None
        for role, steps, is_due in (
            (Role.ON_SUCCESS, block.on_success, is_succeeded),
            (Role.ON_FAILURE, block.on_failure, is_failed),
            (Role.FINALLY, block.finally_, True),
        ):
            halt: Halt = CleanUps(self.stop) if role is Role.FINALLY else scope.halt
            # Every handler runs, and every item of its loops, whatever else fails.
            inner = replace(scope, run_names=names, role=role, halt=halt, is_fail_fast=False)
            for step in steps:
                if is_due and not halt.is_requested:
                    self._run_handler(step, inner, state)
                else:
                    state.is_interrupted = state.is_interrupted or is_due
                    self.finisher.leave_silently(step, inner, StepStatus.SKIPPED, reason="not due")

    def _run_handler(self, step: Step, scope: Scope, state: BlockState) -> None:
        # A deadline that passes during one handler ends that handler only.
        result = self.run_step(step, replace(scope, limit=scope.limit.without_expired()))
        if result.status in {StepStatus.INTERRUPTED, StepStatus.NOT_RUN} and self.stop.is_requested:
            # A block that counted as done would keep a resume from running its handlers again.
            state.is_interrupted = True
        if result.is_failure and not result.ignored:
            self.emitter.note_failed_handler(result)
