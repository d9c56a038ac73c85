"""Runs a step under its lock and its retries: a command, a group, or a called runbook."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

from django_runbook.cleaning import Mask
from django_runbook.document.codes import Severity
from django_runbook.document.expressions import ExpressionError
from django_runbook.document.inputs import Inputs, resolve_call
from django_runbook.document.runbook import CallStep, CommandStep, GroupStep, Step
from django_runbook.planning.planned_step import PlannedStep
from django_runbook.process.deadlines import Halt
from django_runbook.results import AttemptResult, Failure, Role, StepResult, StepStatus
from django_runbook.runner import outcomes
from django_runbook.runner.blocks import BlockRunner
from django_runbook.runner.commands import CommandRunner
from django_runbook.runner.emitter import Emitter
from django_runbook.runner.locking import Locker, UnderLocks
from django_runbook.runner.outcomes import Outcome
from django_runbook.runner.retries import Retries
from django_runbook.runner.step_scope import Scope
from django_runbook.structs import Struct, replace


class StepExecutor(Struct):
    """Runs steps, each under its own lock and as often as its ``retry`` allows.

    ``is_output_read`` returns whether an expression may read the output of a step; any other output is not kept.
    """

    planned: Mapping[str, PlannedStep]
    commands: CommandRunner
    blocks: BlockRunner
    retries: Retries
    locker: Locker
    emitter: Emitter
    mask: Mask
    grace_seconds: float
    is_output_read: Callable[[str], bool]

    def run(self, step: Step, scope: Scope, *, name: str, failure: Failure | None) -> StepResult:
        """Run a step, unless it has failed already; returns its result, which is recorded."""
        started = time.monotonic()
        if isinstance(step, CommandStep):
            scope = replace(scope, halt=self._halt_of_command(scope))
        outcome = outcomes.failed(failure) if failure is not None else self._run_under_lock(step, scope, name)
        ended = self._without_lost_lock(outcome.result, scope)
        result = StepResult(
            step_id=scope.id(step),
            name=name,
            status=ended.status,
            role=scope.role,
            ignored=outcomes.is_ignored(step, ended),
            attempt_count=outcome.attempt_count,
            duration_seconds=time.monotonic() - started,
            failure=ended.failure,
            reason=ended.reason,
            warnings=ended.warnings,
            is_group=not isinstance(step, CommandStep),
            file=scope.file,
            line=step.span.line,
            row_account=ended.row_account,
        )
        has_output = outcomes.captures(step) and ended.status is StepStatus.SUCCEEDED
        is_kept = has_output and self.is_output_read(result.step_id)
        return self.emitter.finish(step, scope, result, {"output": outcome.output} if is_kept else {})

    def _halt_of_command(self, scope: Scope) -> Halt:
        """Return the halt of a command: besides a stop, the loss of a lock around it ends it."""
        halt = scope.halt.for_step()
        if not scope.locks or scope.role is not Role.STEP:
            return halt
        return UnderLocks(halt, scope.locks, grace_seconds=self.grace_seconds)

    def _without_lost_lock(self, ended: AttemptResult, scope: Scope) -> AttemptResult:
        """Fail a step that was ended because its lock was lost."""
        if ended.status is not StepStatus.INTERRUPTED or not any(held.is_lost for held in scope.locks):
            return ended
        failure = self.locker.lost(scope.locks, halt=scope.halt)
        return ended if failure is None else replace(ended, status=StepStatus.FAILED, failure=failure)

    def _run_under_lock(self, step: Step, scope: Scope, name: str) -> Outcome:
        with self.locker.held(step.lock, scope, step_id=scope.id(step)) as (inner, refused):
            if refused is not None:
                return Outcome(result=refused, attempt_count=0)
            match step:
                case CommandStep():
                    return self._run_command(step, inner, name)
                case CallStep():
                    return self._run_call(step, inner, name)
            return self._run_group(step, inner, name)

    def _run_command(self, step: CommandStep, scope: Scope, name: str) -> Outcome:
        call, failure = self.commands.prepare(step, scope, name)
        return outcomes.failed(failure) if failure is not None else self.retries.run(step, scope, call)

    def _run_group(self, step: GroupStep, scope: Scope, name: str) -> Outcome:
        self.emitter.start(step, scope, name)
        scopes = _scopes_of_attempts(scope)

        def once() -> tuple[AttemptResult, object]:
            queue = scope.queue if step.queue is None else step.queue
            inner, owner = next(scopes).inside(scope.id(step), queue=queue), f'"{step.id}"'
            state = self.blocks.run_block(step.block, inner, timeout_seconds=step.timeout_seconds, owner=owner)
            return state.result(), None

        return self.retries.run(step, scope, once)

    def _run_call(self, step: CallStep, scope: Scope, name: str) -> Outcome:
        self.emitter.start(step, scope, name)
        scopes = _scopes_of_attempts(scope)

        def once() -> tuple[AttemptResult, object]:
            inputs = self._inputs_of_call(step, scope)
            if isinstance(inputs, Failure):
                return outcomes.failed(inputs).result, None
            inner = next(scopes).inside(
                scope.id(step),
                inputs=inputs,
                views={},
                prefix=f"{scope.key(step)}/",
                file=step.runbook.path,
                limit=scope.limit.within(step.timeout_seconds, owner=f'"{step.id}"'),
                is_isolated=scope.is_isolated or step.timeout_seconds is not None,
            )
            return self.blocks.run_runbook(step.runbook, inner, owner=f'"{step.runbook.name}"'), None

        return self.retries.run(step, scope, once)

    def _inputs_of_call(self, step: CallStep, scope: Scope) -> Inputs | Failure:
        planned = self.planned.get(scope.id(step))
        if planned is not None and planned.is_final and planned.inputs is not None:
            return planned.inputs
        try:
            inputs = resolve_call(step, scope.inputs, scope.context())
        except ExpressionError as error:
            return outcomes.of_expression(error, self.mask, is_hidden=scope.is_hidden)
        errors = [item for item in inputs.diagnostics if item.severity is Severity.ERROR]
        return outcomes.of_diagnostics(errors, self.mask, is_hidden=scope.is_hidden) if errors else inputs


def _scopes_of_attempts(scope: Scope) -> Iterator[Scope]:
    """Yield the scope of each attempt of a group: a resumed run continues in the first, every retry starts over."""
    yield scope
    retried = replace(scope, is_retry=True)
    while True:
        yield retried
