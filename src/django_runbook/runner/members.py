"""Runs the steps of a block, or the items of a loop, in order or concurrently."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence

from django_runbook.document.runbook import Step
from django_runbook.process.deadlines import Branch, Deadline
from django_runbook.process.isolation import Isolation
from django_runbook.results import StepResult, StepStatus
from django_runbook.runner import outcomes
from django_runbook.runner.block_state import BlockState
from django_runbook.runner.branches import in_turn, together
from django_runbook.runner.emitter import Emitter
from django_runbook.runner.finishing import StepFinisher
from django_runbook.runner.step_scope import Scope
from django_runbook.structs import Struct, field, replace


class Member(Struct):
    """Holds a step of a block, or a loop's step for one item, whose ``label`` names the item."""

    step: Step
    scope: Scope
    run: Callable[[], StepResult]
    label: Callable[[], str] | None = None


class MemberRunner(Struct):
    """Runs members until one fails, a deadline passes or a stop is requested; the rest is left as not run."""

    emitter: Emitter
    finisher: StepFinisher
    isolation: Isolation
    grace_seconds: float
    # Concurrent members end at the same time.
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def branch(self, scope: Scope) -> Branch:
        """Return the halt of concurrent members, through which the failure of one ends the others."""
        return Branch(scope.halt, grace_seconds=self.grace_seconds)

    def run_in_order(self, members: Iterable[Member], state: BlockState) -> None:
        """Run one member after another."""
        for member in members:
            reason = self._reason_to_leave(member, state)
            if reason:
                self._note_unrun(state, self._leave(member, reason), member.scope)
            else:
                result, scope = member.run(), member.scope
                state.add(result, is_over=scope.limit.is_over, is_halted=scope.halt.is_requested)

    def run_concurrently(
        self, members: Sequence[Member], state: BlockState, *, at_once: int | None, branch: Branch
    ) -> None:
        """Run members at the same time, or one after another if steps cannot have processes of their own."""

        def run(index: int) -> None:
            self._run_in_branch(members[index], state, branch)

        if self.isolation.is_possible:
            together(run, count=len(members), at_once=at_once, halt=branch)
        else:
            in_turn(run, count=len(members))

    def _run_in_branch(self, member: Member, state: BlockState, branch: Branch) -> None:
        scope = member.scope
        reason = self._reason_to_leave(member, BlockState())
        result = self._leave(member, reason) if reason else member.run()
        with self._lock:
            if reason:
                self._note_unrun(state, result, scope)
            elif result.status is not StepStatus.INTERRUPTED or not branch.is_canceled:
                state.add(result, is_over=scope.limit.is_over, is_halted=scope.halt.is_requested)
            failed = state.failed
        # After a stop, the others end by themselves.
        if failed is not None and scope.is_fail_fast and not branch.is_requested:
            branch.cancel(outcomes.named_failure(failed))

    def _leave(self, member: Member, reason: str) -> StepResult:
        label = member.label() if member.label is not None else None
        return self.finisher.leave(member.step, member.scope, StepStatus.NOT_RUN, reason=reason, label=label)

    def _reason_to_leave(self, member: Member, state: BlockState) -> str:
        scope = member.scope
        if self.finisher.is_done(member.step, scope):
            # It is restored even if nothing more runs: otherwise the next resume would repeat it.
            return ""
        if (error := self.emitter.error_before(scope)) is not None:
            return str(error)
        if scope.halt.is_requested or state.is_interrupted:
            return scope.halt.reason
        if state.failed is not None and scope.is_fail_fast:
            return outcomes.named_failure(state.failed)
        return _reason_of(scope.limit.first) if scope.limit.is_over else ""

    def _note_unrun(self, state: BlockState, result: StepResult, scope: Scope) -> None:
        """Fail the block at a step that a passed deadline or a lost journal kept from running; a stop interrupts it."""
        deadline, error = scope.limit.first, self.emitter.error
        if state.failed is not None or state.is_interrupted:
            return
        if error is not None:
            state.failed = replace(result, failure=outcomes.of_error(error))
        elif deadline is not None and scope.limit.is_over:
            state.failed = state.cut or replace(result, failure=deadline.failure())
        elif scope.halt.is_requested:
            state.is_interrupted = True


def _reason_of(deadline: Deadline | None) -> str:
    return f"the timeout of {deadline.owner} expired" if deadline is not None else ""
