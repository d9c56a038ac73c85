"""Runs a step: skips it, runs it, or runs it for each item of its loop. Any error around it is its failure."""

from __future__ import annotations

from collections.abc import Callable

from django_runbook.cleaning import Mask
from django_runbook.document.expressions import ExpressionError, evaluate_condition, render_text
from django_runbook.document.loops import items_of
from django_runbook.document.runbook import CommandStep, Step
from django_runbook.exceptions import JournalLost
from django_runbook.process.failures import failure_of
from django_runbook.results import AttemptResult, Failure, Role, StepResult, StepStatus
from django_runbook.runner import outcomes
from django_runbook.runner.context import RunOptions
from django_runbook.runner.emitter import Emitter
from django_runbook.runner.execution import StepExecutor
from django_runbook.runner.finishing import NO_ITEMS, StepFinisher
from django_runbook.runner.locking import Locker
from django_runbook.runner.loops import Items, LoopRunner
from django_runbook.runner.naming import label_in, name_of
from django_runbook.runner.questions import Questions
from django_runbook.runner.step_scope import Scope
from django_runbook.structs import Struct, replace


class _Decision(Struct):
    """Holds what to do with a step: skip it for a reason, fail it, run its loop, or run it once."""

    skip_reason: str = ""
    failure: Failure | None = None
    items: Items | None = None


class StepRunner(Struct):
    """Runs steps with ``executor``, and their loops with ``loops``."""

    options: RunOptions
    executor: StepExecutor
    loops: LoopRunner
    finisher: StepFinisher
    locker: Locker
    questions: Questions
    emitter: Emitter
    mask: Mask

    def run(self, step: Step, scope: Scope) -> StepResult:
        """Run a step, or finish it without running it."""
        return self._guarded(step, scope, lambda: self._run(step, scope))

    def run_item(self, step: Step, item: object, scope: Scope) -> StepResult:
        """Run a step for one item of its loop."""

        def run() -> StepResult:
            name, failure = name_of(
                step,
                scope,
                self.mask,
                label=label_in(scope, item, self.mask),
                is_dry_run=self.options.is_dry_run,
            )
            return self.finisher.restore(step, scope) or self.executor.run(step, scope, name=name, failure=failure)

        return self._guarded(step, scope, run)

    def _guarded(self, step: Step, scope: Scope, run: Callable[[], StepResult]) -> StepResult:
        try:
            return run()
        except Exception as error:  # noqa: BLE001 - whatever fails around a step is the failure of that step
            failure = failure_of(error, self.mask)
            if scope.is_hidden or step.no_log:
                failure = outcomes.hidden(failure)
            return self._fail(step, scope, failure)

    def _fail(self, step: Step, scope: Scope, failure: Failure) -> StepResult:
        ended = AttemptResult(status=StepStatus.FAILED, failure=failure)
        result = StepResult(
            step_id=scope.id(step),
            name=step.name if isinstance(step.name, str) else step.id,
            status=StepStatus.FAILED,
            role=scope.role,
            ignored=outcomes.is_ignored(step, ended),
            failure=failure,
            is_group=not isinstance(step, CommandStep),
            file=scope.file,
            line=step.span.line,
        )
        try:
            return self.emitter.finish(step, scope, result, {})
        except Exception as error:  # noqa: BLE001 - a result that cannot be recorded ends the run
            self.emitter.note_error(JournalLost(f"internal error: {type(error).__name__}: {error}"))
            return result

    def _run(self, step: Step, scope: Scope) -> StepResult:
        if (past := self.finisher.restore(step, scope)) is not None:
            return past
        if step.no_log:
            scope = replace(scope, is_hidden=True)
        if reason := self._reason_to_leave_out(step, scope):
            return self.finisher.leave(step, scope, StepStatus.SKIPPED, reason=reason)
        name, failure = name_of(step, scope, self.mask, is_dry_run=self.options.is_dry_run)
        decision = self._decide(step, scope, name, failure)
        failure = decision.failure
        if failure is None and scope.halt.is_requested:
            # The stop came during a question, whatever the answer was: a resume asks again.
            return self.finisher.leave(step, scope, StepStatus.NOT_RUN, reason=scope.halt.reason)
        if decision.skip_reason:
            return self.finisher.leave(step, scope, StepStatus.SKIPPED, reason=decision.skip_reason)
        if decision.items is not None:
            failure = failure or self.loops.changed_items(step, decision.items, scope)
        if scope.locks and scope.role is Role.STEP:
            failure = failure or self.locker.lost(scope.locks, halt=scope.halt)
        if decision.items is None or failure is not None:
            return self.executor.run(step, scope, name=name, failure=failure)
        return self.loops.run(step, decision.items, scope, name=name)

    def _reason_to_leave_out(self, step: Step, scope: Scope) -> str:
        key = scope.key(step)
        if key in self.options.unselected:
            return self.options.unselected[key]
        return "dry run: the command has no --dry-run" if key in self.options.lacks_dry_run else ""

    def _decide(self, step: Step, scope: Scope, name: str, failure: Failure | None) -> _Decision:
        try:
            reason = self._reason_to_skip(step, scope, name)
            items = items_of(step.for_each, scope.context()) if not reason and step.for_each is not None else None
        except ExpressionError as error:
            if self.options.is_dry_run:
                text = outcomes.HIDDEN if scope.is_hidden else error.message
                return _Decision(skip_reason=self.mask(f"dry run: {text}"))
            of_expression = outcomes.of_expression(error, self.mask, is_hidden=scope.is_hidden)
            return _Decision(failure=failure or of_expression)
        if items is not None and not items:
            reason = NO_ITEMS
        return _Decision(skip_reason="" if failure else reason, failure=failure, items=items)

    def _reason_to_skip(self, step: Step, scope: Scope, name: str) -> str:
        is_decided = scope.id(step) in self.finisher.past_in(scope).started
        if step.when is not None and not is_decided and not evaluate_condition(step.when, scope.context()):
            return self.mask(f"when: {step.when.source}")
        if step.confirm is not None and not self.options.answers_yes and not self.options.is_dry_run:
            text = render_text(step.confirm, scope.context())
            if reason := self.questions.confirm(step, text, step_id=scope.id(step), name=name, halt=scope.halt):
                return reason
        if self.options.asks_before_steps and isinstance(step, CommandStep):
            return self.questions.before_step(step, step_id=scope.id(step), name=name, is_hidden=scope.is_hidden)
        return ""
