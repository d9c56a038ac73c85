"""A Plan to events and a RunResult: the steps in their order, with their handlers."""

from __future__ import annotations

import datetime
import random
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django_runbook import events
from django_runbook.binding.plan import Binder, Plan, PlannedStep
from django_runbook.document.diagnostics import Diagnostic, Severity
from django_runbook.document.expressions import ExpressionError, evaluate_condition, render
from django_runbook.document.names import HANDLER_RUN_NAMES
from django_runbook.document.runbook import Block, CommandStep, GroupStep, Retry, Step
from django_runbook.document.views import StepView
from django_runbook.results import (
    AttemptResult,
    ExitCode,
    Failure,
    Role,
    RunResult,
    RunStatus,
    StepResult,
    StepStatus,
)
from django_runbook.runner import policy
from django_runbook.runner.attempts import Outcome, attempt, read_output
from django_runbook.runner.masking import MASK, Mask
from django_runbook.runner.output import tidy_text
from django_runbook.runner.stopping import Stop

Execute = Callable[..., AttemptResult]
# Each look-up in the class costs as much as a call, and a step has a dozen of them.
_SUCCEEDED, _FAILED, _SKIPPED = StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.SKIPPED
_INTERRUPTED, _NOT_RUN = StepStatus.INTERRUPTED, StepStatus.NOT_RUN


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this run differs from another one of the same plan.

    ``left_out`` holds the steps that are not selected, with the reason; ``lacks_dry_run`` those that a dry run cannot
    call.
    """

    left_out: Mapping[str, str] = field(default_factory=dict)
    lacks_dry_run: frozenset[str] = frozenset()
    is_dry_run: bool = False
    keeps_going: bool = False
    is_strict: bool = False
    answers_yes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the runner asks of the world: a call, a listener, a question to a person, and how to stop."""

    execute: Execute
    emit: events.Listener
    binder: Binder
    stop: Stop
    mask: Mask
    ask: Callable[[str], bool] | None = None
    clock: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC)
    rng: random.Random = field(default_factory=random.Random)


def run(plan: Plan, settings: Settings, around: Surroundings) -> RunResult:
    """Run a plan that was found to be without errors; everything that happens is emitted."""
    return _Run(plan, settings, around).run()


@dataclass(slots=True)
class _BlockState:
    """How far a block has come. ``failed`` is the first step whose failure is not tolerated."""

    failed: StepResult | None = None
    is_interrupted: bool = False


class _Run:
    def __init__(self, plan: Plan, settings: Settings, around: Surroundings) -> None:
        self._plan = plan
        self._settings = settings
        self._around = around
        self._results: dict[str, StepResult] = {}
        self._views: dict[str, Any] = {}
        self._run_names: dict[str, object] = dict(plan.inputs.run)
        self._has_failed_handler = False

    def run(self) -> RunResult:
        started = time.monotonic()
        runbook, stop = self._plan.runbook, self._around.stop
        self._emit(
            events.RunStarted,
            run_id=str(self._plan.inputs.run.get("id", "")),
            name=runbook.name,
            file=runbook.path,
            step_count=sum(1 for _ in self._selected_commands()),
            dry_run=self._settings.is_dry_run,
        )
        state = self._block(runbook.block, role=Role.STEP, group_ids=())
        status = self._status_of_run(state)
        exit_code = self._exit_code(status)
        result = RunResult(
            status=status,
            exit_code=stop.exit_code if status is RunStatus.INTERRUPTED else exit_code,
            steps=tuple(self._results.values()),
            duration_seconds=time.monotonic() - started,
        )
        self._emit(events.RunFinished, result=result)
        return result

    def _selected_commands(self) -> Iterator[PlannedStep]:
        for step_id, planned in self._plan.steps.items():
            is_selected = planned.role is Role.STEP and step_id not in self._settings.left_out
            if is_selected and isinstance(planned.step, CommandStep):
                yield planned

    def _status_of_run(self, state: _BlockState) -> RunStatus:
        statuses = {result.status for result in self._results.values()}
        if self._around.stop.is_requested and statuses & {_INTERRUPTED, _NOT_RUN}:
            return RunStatus.INTERRUPTED
        if state.failed is not None:
            return RunStatus.FAILED
        has_tolerated = any(result.tolerated for result in self._results.values())
        return RunStatus.WARNING if has_tolerated or self._has_failed_handler else RunStatus.SUCCEEDED

    def _exit_code(self, status: RunStatus) -> int:
        if status is RunStatus.FAILED or (status is RunStatus.WARNING and self._settings.is_strict):
            return ExitCode.FAILED
        return ExitCode.SUCCEEDED

    def _emit(self, kind: type[events.Event], **values: Any) -> None:
        self._around.emit(kind(at=self._around.clock(), **values))

    # -- blocks ------------------------------------------------------------------------------------------------------

    def _block(self, block: Block, *, role: Role, group_ids: tuple[str, ...]) -> _BlockState:
        state = _BlockState()
        for step in block.steps:
            if self._is_over(state, block):
                self._finish_without_running(step, _NOT_RUN, reason=_reason_of(state))
                continue
            result = self._step(step, role=role, group_ids=group_ids)
            if result.status is _INTERRUPTED:
                state.is_interrupted = True
            if result.is_failure and not result.tolerated and state.failed is None:
                state.failed = result
        state.is_interrupted = state.is_interrupted or self._around.stop.is_requested
        self._handlers(block, state, group_ids=group_ids)
        return state

    def _is_over(self, state: _BlockState, block: Block) -> bool:
        if self._around.stop.is_requested or state.is_interrupted:
            return True
        return state.failed is not None and block.fail_fast and not self._settings.keeps_going

    def _handlers(self, block: Block, state: _BlockState, *, group_ids: tuple[str, ...]) -> None:
        outer = dict(self._run_names)
        self._run_names |= _names_for_handlers(state)
        is_succeeded = state.failed is None and not state.is_interrupted
        is_failed = state.failed is not None and not state.is_interrupted
        for role, steps, is_due in (
            (Role.ON_SUCCESS, block.on_success, is_succeeded),
            (Role.ON_FAILURE, block.on_failure, is_failed),
            (Role.FINALLY, block.finally_, True),
        ):
            for step in steps:
                if not is_due or (role is not Role.FINALLY and self._around.stop.is_requested):
                    self._finish_without_running(step, _SKIPPED, reason="not due", is_told=False)
                    continue
                result = self._step(step, role=role, group_ids=group_ids)
                self._has_failed_handler |= result.is_failure and not result.tolerated
        self._run_names = outer

    # -- steps -------------------------------------------------------------------------------------------------------

    def _step(self, step: Step, *, role: Role, group_ids: tuple[str, ...]) -> StepResult:
        reason = self._settings.left_out.get(step.id) or self._lacks_dry_run(step)
        if reason:
            return self._finish_without_running(step, _SKIPPED, reason=reason)
        started = time.monotonic()
        name, failure = self._name_of(step)
        try:
            reason = self._reason_to_skip(step, name)
        except ExpressionError as error:
            if self._settings.is_dry_run:
                return self._finish_without_running(
                    step, _SKIPPED, reason=self._around.mask(f"dry run: {error.message}")
                )
            failure = failure or _expression_failure(error, self._around.mask)
        if failure is None and reason:
            return self._finish_without_running(step, _SKIPPED, reason=reason)
        if failure is not None:
            outcome = Outcome(result=AttemptResult(status=_FAILED, failure=failure), attempt_count=0)
        elif isinstance(step, GroupStep):
            outcome = self._group(step, name=name, role=role, group_ids=group_ids)
        else:
            outcome = self._command(step, name=name, role=role, group_ids=group_ids)
        result = _step_result(step, name, role, outcome, duration_seconds=time.monotonic() - started)
        return self._finish(step, result, outcome.output, group_ids=group_ids)

    def _lacks_dry_run(self, step: Step) -> str:
        return "dry run: the command has no --dry-run" if step.id in self._settings.lacks_dry_run else ""

    def _name_of(self, step: Step) -> tuple[str, Failure | None]:
        if isinstance(step.name, str):
            return step.name, None
        try:
            return tidy_text(str(render(step.name, self._context())), self._around.mask), None
        except ExpressionError as error:
            failure = None if self._settings.is_dry_run else _expression_failure(error, self._around.mask)
            return step.id, failure

    def _reason_to_skip(self, step: Step, name: str) -> str:
        if step.when is not None and not evaluate_condition(step.when, self._context()):
            return f"when: {step.when.source}"
        if step.confirm is None or self._settings.answers_yes or self._settings.is_dry_run:
            return ""
        text = str(render(step.confirm, self._context()))
        if self._around.ask is None:
            raise ExpressionError(f'"{text}" needs an answer; run it at a terminal, or give --yes', step.span)
        self._emit(events.ConfirmationRequested, step_id=step.id, text=tidy_text(text, self._around.mask))
        return "" if self._around.ask(tidy_text(f"{name}: {text}", self._around.mask)) else "not confirmed"

    def _group(self, step: GroupStep, *, name: str, role: Role, group_ids: tuple[str, ...]) -> Outcome:
        self._emit(events.StepStarted, step_id=step.id, name=name, group_ids=group_ids, role=role)

        def once() -> tuple[AttemptResult, object]:
            state = self._block(step.block, role=role, group_ids=(*group_ids, step.id))
            if state.is_interrupted:
                return AttemptResult(status=_INTERRUPTED), None
            if state.failed is None:
                return self._check_until(step.retry, step, AttemptResult(status=_SUCCEEDED)), None
            first = state.failed.failure
            failure = (
                None if first is None else replace(first, message=f'step "{state.failed.step_id}": {first.message}')
            )
            return AttemptResult(status=_FAILED, failure=failure), None

        return self._attempts(step, once)

    def _command(self, step: CommandStep, *, name: str, role: Role, group_ids: tuple[str, ...]) -> Outcome:
        planned = self._plan.steps[step.id]
        tokens, warnings, failure = self._tokens(step, planned)
        argv = (MASK,) if step.no_log else tuple(self._around.mask(token) for token in tokens)
        command = str(step.command[0].value)
        self._emit(
            events.StepStarted, step_id=step.id, name=name, group_ids=group_ids, role=role, argv=(command, *argv)
        )
        if failure is not None:
            return Outcome(result=AttemptResult(status=_FAILED, failure=failure), attempt_count=0)

        def write_line(stream: str, line: str) -> None:
            if not step.no_log:
                self._emit(events.StepOutputWritten, step_id=step.id, stream=stream, line=line)

        def once() -> tuple[AttemptResult, object]:
            result = self._around.execute(
                command=command, tokens=tokens, keeps_stdout=step.capture is not None, write_line=write_line
            )
            if step.no_log and result.failure is not None:
                hidden = replace(result.failure, message="(hidden by no_log)", traceback="")
                result = replace(result, failure=hidden)
            if warnings:
                result = replace(result, warnings=(*warnings, *result.warnings))
            return self._captured(step, result)

        return self._attempts(step, once)

    def _tokens(
        self, step: CommandStep, planned: PlannedStep
    ) -> tuple[tuple[str, ...], tuple[str, ...], Failure | None]:
        """The tokens with all values known, the warnings and the errors of a last check."""
        if planned.is_final:
            return planned.binding.tokens, (), None
        binding = self._around.binder.bind(step, inputs=self._plan.inputs, context=self._context())
        errors = [diagnostic for diagnostic in binding.diagnostics if diagnostic.severity is Severity.ERROR]
        warnings = tuple(item.message for item in binding.diagnostics if item.severity is Severity.WARNING)
        if not errors:
            return binding.tokens, warnings, None
        message = "; ".join(_as_sentence(error) for error in errors)
        failure = Failure(error_type="BindingError", message=tidy_text(message, self._around.mask), exit_code=2)
        return (), warnings, failure

    def _captured(self, step: CommandStep, result: AttemptResult) -> tuple[AttemptResult, object]:
        if step.capture is None or result.status is not _SUCCEEDED:
            return self._check_until(step.retry, step, result), None
        try:
            output = read_output(result.stdout, step.capture)
        except (ValueError, RecursionError) as error:
            text = tidy_text(f"capture: {step.capture}: the output is not JSON: {error}", self._around.mask)
            failure = Failure(error_type=type(error).__name__, message=text, exit_code=1)
            return replace(result, status=_FAILED, failure=failure), None
        self._views[step.id] = _view(step.id, status=_SUCCEEDED, output=output)
        return self._check_until(step.retry, step, result), output

    def _check_until(self, retry: Retry | None, step: Step, result: AttemptResult) -> AttemptResult:
        if retry is None or retry.until is None or result.status is not _SUCCEEDED:
            return result
        self._views.setdefault(step.id, _view(step.id, status=_SUCCEEDED))
        try:
            if evaluate_condition(retry.until, self._context()):
                return result
            message = f"until: {retry.until.source} is not true yet"
            failure = Failure(error_type="UntilNotMet", message=message, exit_code=1)
        except ExpressionError as error:
            failure = _expression_failure(error, self._around.mask)
        return replace(result, status=_FAILED, failure=failure)

    def _attempts(self, step: Step, once: Callable[[], tuple[AttemptResult, object]]) -> Outcome:
        def on_failed(count: int, delay_seconds: float, failure: Failure) -> None:
            self._emit(
                events.AttemptFailed,
                step_id=step.id,
                attempt=count,
                attempt_count=step.retry.attempts if step.retry else 1,
                delay_seconds=delay_seconds,
                failure=failure,
            )

        around = self._around
        return attempt(once, retry=step.retry, stop=around.stop, on_failed=on_failed, rng=around.rng)

    # -- results -----------------------------------------------------------------------------------------------------

    def _context(self) -> Mapping[str, object]:
        return self._plan.inputs.context(steps=self._views, run=self._run_names)

    def _finish(
        self, step: Step, result: StepResult, output: object, *, group_ids: tuple[str, ...], is_told: bool = True
    ) -> StepResult:
        # A step that runs again, because its group is retried, stands where it ended last.
        self._results.pop(step.id, None)
        self._results[step.id] = result
        has_output = isinstance(step, CommandStep) and step.capture is not None
        extra = {"output": output} if has_output and result.status is _SUCCEEDED else {}
        self._views[step.id] = _view(step.id, status=result.status, result=result, **extra)
        if is_told:
            self._emit(events.StepFinished, result=result, group_ids=group_ids, is_group=isinstance(step, GroupStep))
        return result

    def _finish_without_running(
        self, step: Step, status: StepStatus, *, reason: str, is_told: bool = True
    ) -> StepResult:
        planned = self._plan.steps[step.id]
        name = step.name if isinstance(step.name, str) else step.id
        result = StepResult(step_id=step.id, name=name, status=status, role=planned.role, reason=reason)
        self._finish(step, result, None, group_ids=planned.group_ids, is_told=is_told)
        if isinstance(step, GroupStep):
            block = step.block
            for inner in block.steps:
                self._finish_without_running(inner, status, reason=reason, is_told=is_told)
            for inner in (*block.on_success, *block.on_failure, *block.finally_):
                self._finish_without_running(inner, status, reason=reason, is_told=False)
        return result


def _reason_of(state: _BlockState) -> str:
    if state.failed is None or state.is_interrupted:
        return "the run was stopped"
    return f'"{state.failed.step_id}" failed'


def _names_for_handlers(state: _BlockState) -> dict[str, object]:
    failed = state.failed
    if state.is_interrupted:
        status = RunStatus.INTERRUPTED
    else:
        status = RunStatus.SUCCEEDED if failed is None else RunStatus.FAILED
    values: dict[str, object] = {"status": status.value}
    if failed is not None:
        values |= {"failed_step": failed.step_id, "error": failed.failure.message if failed.failure else ""}
    return {name: value for name, value in values.items() if name in HANDLER_RUN_NAMES}


def _step_result(step: Step, name: str, role: Role, outcome: Outcome, *, duration_seconds: float) -> StepResult:
    result = outcome.result
    is_failed = result.status in {_FAILED, StepStatus.TIMED_OUT}
    is_tolerated = is_failed and (
        policy.is_tolerated(result.failure, step.continue_on_error)
        if result.failure is not None
        else step.continue_on_error is True
    )
    return StepResult(
        step_id=step.id,
        name=name,
        status=result.status,
        role=role,
        tolerated=is_tolerated,
        attempt_count=outcome.attempt_count,
        duration_seconds=duration_seconds,
        failure=result.failure,
        warnings=result.warnings,
    )


def _view(step_id: str, *, status: StepStatus, result: StepResult | None = None, **extra: object) -> StepView:
    view = StepView(id=step_id, status=status.value, **extra)
    if result is not None:
        view |= {"name": result.name, "tolerated": result.tolerated, "attempts": result.attempt_count}
        if result.failure is not None:
            view |= {"exit_code": result.failure.exit_code, "error": result.failure.message}
        elif status is _SUCCEEDED:
            view["exit_code"] = 0
    return view


def _expression_failure(error: ExpressionError, mask: Mask) -> Failure:
    message = tidy_text(f"line {error.span.line}: {error.message}", mask)
    return Failure(error_type="ExpressionError", message=message, exit_code=2)


def _as_sentence(diagnostic: Diagnostic) -> str:
    return f"line {diagnostic.span.line}: {diagnostic.message}" + (f" ({diagnostic.help})" if diagnostic.help else "")
