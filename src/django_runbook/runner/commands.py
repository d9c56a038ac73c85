"""A command step to its outcome: its tokens with all values known, its attempts, and what it gives to expressions."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from django_runbook import events
from django_runbook.binding.binder import Binder
from django_runbook.binding.plan import PlannedStep
from django_runbook.document.diagnostics import Severity
from django_runbook.document.runbook import CommandStep
from django_runbook.exceptions import RunbookError, names_of
from django_runbook.process.masking import MASK, Mask
from django_runbook.process.streams import tidy_text
from django_runbook.results import AttemptResult, Failure, StepStatus
from django_runbook.runner import outcomes
from django_runbook.runner.attempts import MAX_DEPTH, Outcome, read_output
from django_runbook.runner.scope import Scope
from django_runbook.runner.telling import Teller

Execute = Callable[..., AttemptResult]
# What stands for an output that nobody may keep.
HIDDEN: Final = object()
MAX_KEY: Final = 160
# The id of a step and its call to the result of the same call in one transaction.
Atomically = Callable[[str, Callable[[], AttemptResult]], AttemptResult]
# The id of a step and the value that it gives to expressions.
KeepOutput = Callable[[str, object], None]
# One attempt to its result and the output for expressions.
Once = Callable[[], tuple[AttemptResult, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRunner:
    """Calls commands: with ``execute`` in this process, there ``atomically``, with ``isolate`` in one of their own."""

    planned: Mapping[str, PlannedStep]
    binder: Binder
    execute: Execute
    isolate: Execute
    atomically: Atomically
    keep_output: KeepOutput
    run_id: str
    teller: Teller
    mask: Mask
    succeeded_counts: dict[str, int]

    def run(self, step: CommandStep, scope: Scope, name: str, *, attempts: Callable[[Once], Outcome]) -> Outcome:
        """Tell that the command starts, and call it as often as ``attempts`` asks for."""
        step_id = scope.id(step)
        tokens, warnings, failure = self._tokens(step, scope, step_id)
        argv = (MASK,) if scope.is_hidden else tuple(self.mask(token) for token in tokens)
        command = str(step.command[0].value)
        self.teller.start(step, scope, name, argv=(command, *argv))
        if (fault := self.teller.fault_before(scope)) is not None:
            failure = outcomes.of_fault(fault)
        if failure is not None:
            return outcomes.failed(failure)

        def whole() -> tuple[AttemptResult, object]:
            result = self._call(step, scope, command=command, tokens=tokens, **self._ways(step_id, scope))
            if warnings:
                result = replace(result, warnings=(*warnings, *result.warnings))
            if scope.is_hidden:
                failure = None if result.failure is None else outcomes.hidden(result.failure)
                result = replace(result, failure=failure, warnings=(outcomes.HIDDEN,) if result.warnings else ())
            result, output = self._captured(step, scope, result)
            if result.status is StepStatus.SUCCEEDED:
                self.succeeded_counts[step_id] = self.succeeded_counts.get(step_id, 0) + 1
            return result, output

        return attempts(functools.partial(self._atomically, step_id, whole) if step.atomic else whole)

    def _atomically(self, step_id: str, whole: Once) -> tuple[AttemptResult, object]:
        """One attempt in a transaction, which is not kept where its output cannot be read."""
        output: object = None

        def call() -> AttemptResult:
            nonlocal output
            result, output = whole()
            return result

        try:
            return self.atomically(step_id, call), output
        except RunbookError as error:
            self.teller.lose(error)
            return outcomes.failed(outcomes.of_fault(error)).result, None

    def _ways(self, step_id: str, scope: Scope) -> dict[str, Any]:
        """What comes from a command while it runs to events."""

        def write_line(stream: str, line: str) -> None:
            if not scope.is_hidden:
                self.teller.tell(events.StepOutputWritten, step_id=step_id, stream=stream, line=line)

        def report_progress(done_count: int, total_count: int | None, failed_count: int) -> None:
            self.teller.tell(
                events.StepProgress,
                step_id=step_id,
                done_count=done_count,
                total_count=total_count,
                failed_count=failed_count,
            )

        return {"write_line": write_line, "report_progress": report_progress}

    def _call(self, step: CommandStep, scope: Scope, **call: Any) -> AttemptResult:
        call |= {"keeps_stdout": step.capture is not None, "halt": scope.halt}
        step_id = scope.id(step)
        call["run_key"] = run_key(self.run_id, step_id, number=self.succeeded_counts.get(step_id, 0) + 1)
        if step.atomic:
            return self.execute(**call, is_atomic=True)
        if not (scope.is_isolated or step.isolate or step.timeout_seconds is not None):
            return self.execute(**call)
        deadline = scope.limit.within(step.timeout_seconds, owner=f'"{step.id}"').first
        result = self.isolate(**call, deadline_at=None if deadline is None else deadline.at)
        if result.status is not StepStatus.TIMED_OUT or deadline is None:
            return result
        message = result.failure.message if result.failure is not None else ""
        return replace(result, failure=outcomes.of_time(deadline, message))

    def _tokens(
        self, step: CommandStep, scope: Scope, step_id: str
    ) -> tuple[tuple[str, ...], tuple[str, ...], Failure | None]:
        """The tokens with all values known, the warnings and the errors of a last check."""
        planned = self.planned.get(step_id)
        if planned is not None and planned.is_final:
            return planned.binding.tokens, (), None
        binding = self.binder.bind(step, inputs=scope.inputs, context=scope.context())
        errors = [diagnostic for diagnostic in binding.diagnostics if diagnostic.severity is Severity.ERROR]
        warnings = tuple(item.message for item in binding.diagnostics if item.severity is Severity.WARNING)
        if not errors:
            return binding.tokens, warnings, None
        return (), warnings, outcomes.of_diagnostics(errors, self.mask, is_hidden=scope.is_hidden)

    def _captured(self, step: CommandStep, scope: Scope, result: AttemptResult) -> tuple[AttemptResult, object]:
        if step.capture is None or result.status is not StepStatus.SUCCEEDED:
            return result, None
        try:
            output = read_output(result.stdout, step.capture)
        except (ValueError, RecursionError) as error:
            is_deep = isinstance(error, RecursionError)
            why = f"is nested more than {MAX_DEPTH} levels deep" if is_deep else f"is not JSON: {error}"
            failure = Failure(
                error_type=type(error).__name__,
                message=tidy_text(f"capture: {step.capture}: the output {why}", self.mask),
                exit_code=1,
                error_names=names_of(type(error)),
            )
            return replace(result, status=StepStatus.FAILED, failure=failure), None
        self.keep_output(scope.id(step), HIDDEN if scope.is_hidden else output)
        return result, output


def run_key(run_id: str, step_id: str, *, number: int) -> str:
    """What a batch command knows its call by, so that one which had ended when the run died is not done again.

    ``number`` is 1 until the command has succeeded: in a group that is tried again, or where ``until`` is not true yet,
    it is called for another time.
    """
    digest = hashlib.sha256(step_id.encode()).hexdigest()
    key = f"{run_id}:{step_id if len(step_id) < MAX_KEY else digest}"
    return key if number == 1 else f"{key}:{number}"
