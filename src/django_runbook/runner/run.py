"""A Plan to events and a RunResult: the steps in their order, with their loops, locks, limits and handlers."""

from __future__ import annotations

import contextlib
import datetime
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from django_runbook import events
from django_runbook.binding.binder import Binder
from django_runbook.binding.plan import Plan, PlannedStep
from django_runbook.document.diagnostics import Severity
from django_runbook.document.expressions import ExpressionError, evaluate_condition, render
from django_runbook.document.inputs import resolve_call
from django_runbook.document.loops import items_of, label_of
from django_runbook.document.names import HANDLER_RUN_NAMES
from django_runbook.document.outline import lists_of
from django_runbook.document.runbook import (
    Block,
    CallStep,
    CommandStep,
    GroupStep,
    LockSettings,
    Retry,
    Runbook,
    Step,
)
from django_runbook.exceptions import RunbookError
from django_runbook.locks.base import Holder, Lock
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
from django_runbook.runner import locking, outcomes, policy
from django_runbook.runner.attempts import Outcome, attempt, read_output
from django_runbook.runner.branches import together
from django_runbook.runner.limits import Branch, Deadline, Halt, Unhalted
from django_runbook.runner.masking import MASK, Mask
from django_runbook.runner.output import tidy_text
from django_runbook.runner.scope import Scope, Views, layered
from django_runbook.runner.stopping import Stop

Execute = Callable[..., AttemptResult]
# Each look-up in the class costs as much as a call, and a step has a dozen of them.
_SUCCEEDED, _FAILED, _SKIPPED = StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.SKIPPED
_INTERRUPTED, _NOT_RUN, _TIMED_OUT = StepStatus.INTERRUPTED, StepStatus.NOT_RUN, StepStatus.TIMED_OUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this run differs from another one of the same plan.

    ``left_out`` holds the keys of the steps that are not selected, with the reason; ``lacks_dry_run`` of those that a
    dry run cannot call.
    """

    left_out: Mapping[str, str] = field(default_factory=dict)
    lacks_dry_run: frozenset[str] = frozenset()
    is_dry_run: bool = False
    keeps_going: bool = False
    is_strict: bool = False
    answers_yes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the runner asks of the world.

    ``execute`` calls a command in this process, ``isolate`` in one of its own; ``new_lock`` makes the lock of a name.
    """

    execute: Execute
    isolate: Execute
    new_lock: Callable[[str], Lock]
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
class _State:
    """How far a block or a loop has come.

    ``failed`` is the first step whose failure is not tolerated, ``expired`` the deadline that cut it short.
    """

    failed: StepResult | None = None
    is_interrupted: bool = False
    expired: Deadline | None = None

    def add(self, result: StepResult) -> None:
        if result.status is _INTERRUPTED:
            self.is_interrupted = True
        if result.is_failure and not result.tolerated and self.failed is None:
            self.failed = result


class _Run:
    def __init__(self, plan: Plan, settings: Settings, around: Surroundings) -> None:
        self._plan = plan
        self._settings = settings
        self._around = around
        self._results: dict[str, StepResult] = {}
        self._has_failed_handler = False
        # The branches of a parallel group end steps at the same time, and ask one question after the other.
        self._lock = threading.Lock()
        self._asking = threading.Lock()

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
        scope = Scope(inputs=self._plan.inputs, run_names=self._plan.inputs.run, halt=stop, file=runbook.path)
        outcome = self._runbook(runbook, scope, owner="the run")
        status = self._status_of_run(outcome)
        result = RunResult(
            status=status,
            exit_code=self._exit_code(status, outcome),
            steps=tuple(self._results.values()),
            duration_seconds=time.monotonic() - started,
            reason=outcome.reason,
        )
        self._emit(events.RunFinished, result=result)
        return result

    def _selected_commands(self) -> Iterator[PlannedStep]:
        for planned in self._plan.steps.values():
            is_selected = planned.role is Role.STEP and planned.key not in self._settings.left_out
            if is_selected and isinstance(planned.step, CommandStep) and not planned.is_loop:
                yield planned

    def _status_of_run(self, outcome: AttemptResult) -> RunStatus:
        statuses = {result.status for result in self._results.values()}
        if self._around.stop.is_requested and (statuses & {_INTERRUPTED, _NOT_RUN} or outcome.status is _INTERRUPTED):
            return RunStatus.INTERRUPTED
        if outcome.status in outcomes.FAILURES or outcome.status is _INTERRUPTED and outcome.failure is not None:
            return RunStatus.FAILED
        has_tolerated = any(result.tolerated for result in self._results.values())
        return RunStatus.WARNING if has_tolerated or self._has_failed_handler else RunStatus.SUCCEEDED

    def _exit_code(self, status: RunStatus, outcome: AttemptResult) -> int:
        match status:
            case RunStatus.INTERRUPTED:
                return self._around.stop.exit_code
            case RunStatus.WARNING if self._settings.is_strict:
                return ExitCode.FAILED
            case RunStatus.FAILED:
                if outcome.status is _TIMED_OUT:
                    return ExitCode.TIMED_OUT
                is_of_lock = outcome.failure is not None and outcome.failure.error_type in {"LockHeld", "LockLost"}
                return ExitCode.LOCK_HELD if is_of_lock else ExitCode.FAILED
        return ExitCode.SUCCEEDED

    def _emit(self, kind: type[events.Event], **values: Any) -> None:
        self._around.emit(kind(at=self._around.clock(), **values))

    # -- runbooks and blocks -----------------------------------------------------------------------------------------

    def _runbook(self, runbook: Runbook, scope: Scope, *, owner: str) -> AttemptResult:
        """Run a whole file under its lock and its timeout; where the lock is not free, nothing of it is run."""
        with self._held(runbook.lock, scope, step_id=scope.group_ids[-1] if scope.group_ids else "") as (inner, refused):
            if refused is None:
                state = self._block(runbook.block, inner, timeout_seconds=runbook.timeout_seconds, owner=owner)
                return _result_of(state)
        status = _SKIPPED if refused.status is _SKIPPED else _NOT_RUN
        reason = refused.reason or (refused.failure.message if refused.failure is not None else "")
        for _, steps in lists_of(runbook.block, Role.STEP):
            for step in steps:
                self._leave(step, scope, status, reason=reason, is_told=False)
        return replace(refused, reason=reason)

    def _block(self, block: Block, scope: Scope, *, timeout_seconds: float | None, owner: str) -> _State:
        inner = replace(scope, is_fail_fast=block.fail_fast and not self._settings.keeps_going)
        if timeout_seconds is not None:
            inner = replace(inner, limit=scope.limit.within(timeout_seconds, owner=owner), is_isolated=True)
        state = _State()
        if block.is_parallel:
            self._branches(block, inner, state)
        else:
            self._sequence(block.steps, inner, state)
        state.is_interrupted = state.is_interrupted or scope.halt.is_requested
        if inner.limit.is_over and state.failed is not None and not state.is_interrupted:
            state.expired = inner.limit.first
        self._handlers(block, state, replace(inner, limit=scope.limit.without_expired()))
        return state

    def _sequence(self, steps: tuple[Step, ...], scope: Scope, state: _State) -> None:
        for step in steps:
            reason = self._reason_to_end(state, scope)
            if reason:
                self._note_end(state, self._leave(step, scope, _NOT_RUN, reason=reason), scope)
            else:
                state.add(self._step(step, scope))

    def _reason_to_end(self, state: _State, scope: Scope) -> str:
        if scope.halt.is_requested or state.is_interrupted:
            return getattr(scope.halt, "reason", "") or "the run was stopped"
        if state.failed is not None and scope.is_fail_fast:
            return f'"{state.failed.step_id}" failed'
        return _over(scope.limit.first) if scope.limit.is_over else ""

    def _note_end(self, state: _State, result: StepResult, scope: Scope) -> None:
        """A step that was not run because the time is over is what the block failed at, if nothing else was."""
        deadline = scope.limit.first
        if state.failed is None and not state.is_interrupted and deadline is not None and scope.limit.is_over:
            state.failed = replace(result, failure=outcomes.of_time(deadline, ""))

    def _branches(self, block: Block, scope: Scope, state: _State) -> None:
        branch = Branch(scope.halt)
        views: list[Views] = [layered(scope.views) for _ in block.steps]

        def run(index: int) -> None:
            step = block.steps[index]
            inner = replace(scope, halt=branch, views=views[index], is_isolated=True, is_concurrent=True)
            self._add_concurrent(state, branch, inner, lambda: self._step(step, inner), step)

        together(run, count=len(block.steps), at_once=block.max_parallel, halt=branch)
        for view in views:
            scope.views.update(getattr(view, "maps", [view])[0])

    def _add_concurrent(
        self, state: _State, branch: Branch, scope: Scope, run: Callable[[], StepResult], step: Step
    ) -> None:
        reason = "" if not (branch.is_requested or scope.limit.is_over) else self._reason_to_end(_State(), scope)
        if reason:
            result = self._leave(step, scope, _NOT_RUN, reason=reason)
        else:
            result = run()
        with self._lock:
            if reason:
                self._note_end(state, result, scope)
            elif result.status is not _INTERRUPTED or not branch.reason:
                state.add(result)
            is_over = state.failed is not None and scope.is_fail_fast
        if is_over and not branch.reason and state.failed is not None:
            branch.cancel(f'"{state.failed.step_id}" failed')

    def _handlers(self, block: Block, state: _State, scope: Scope) -> None:
        if not (block.on_success or block.on_failure or block.finally_):
            return
        names = {**scope.run_names, **_names_for_handlers(state)}
        is_succeeded = state.failed is None and not state.is_interrupted
        is_failed = state.failed is not None and not state.is_interrupted
        for role, steps, is_due in (
            (Role.ON_SUCCESS, block.on_success, is_succeeded),
            (Role.ON_FAILURE, block.on_failure, is_failed),
            (Role.FINALLY, block.finally_, True),
        ):
            halt: Halt = Unhalted() if role is Role.FINALLY else scope.halt
            inner = replace(scope, run_names=names, role=role, halt=halt)
            for step in steps:
                if not is_due or halt.is_requested:
                    self._leave(step, inner, _SKIPPED, reason="not due", is_told=False)
                    continue
                result = self._step(step, inner)
                self._has_failed_handler |= result.is_failure and not result.tolerated

    # -- steps -------------------------------------------------------------------------------------------------------

    def _step(self, step: Step, scope: Scope) -> StepResult:
        reason = self._reason_to_leave_out(step, scope)
        if reason:
            return self._leave(step, scope, _SKIPPED, reason=reason)
        name, failure = self._name_of(step, scope)
        items: tuple[object, ...] | None = None
        try:
            reason = self._reason_to_skip(step, scope, name)
            if not reason and step.for_each is not None:
                items = items_of(step.for_each, scope.context())
                reason = "" if items else "for_each: there are no items"
        except ExpressionError as error:
            if self._settings.is_dry_run:
                reason = self._around.mask(f"dry run: {error.message}")
                return self._leave(step, scope, _SKIPPED, reason=reason)
            failure = failure or outcomes.of_expression(error, self._around.mask)
        if failure is None and reason:
            return self._leave(step, scope, _SKIPPED, reason=reason)
        if scope.locks and scope.role is Role.STEP:
            failure = failure or locking.lost(scope.locks)
        if items is None or failure is not None:
            return self._once(step, scope, name=name, failure=failure)
        return self._loop(step, items, scope, name=name)

    def _reason_to_leave_out(self, step: Step, scope: Scope) -> str:
        key = scope.key(step)
        if key in self._settings.left_out:
            return self._settings.left_out[key]
        return "dry run: the command has no --dry-run" if key in self._settings.lacks_dry_run else ""

    def _name_of(self, step: Step, scope: Scope, *, label: str = "") -> tuple[str, Failure | None]:
        if isinstance(step.name, str):
            return f"{step.name} ({label})" if label else step.name, None
        if step.for_each is not None and not label:
            return step.id, None
        try:
            return tidy_text(str(render(step.name, scope.context())), self._around.mask), None
        except ExpressionError as error:
            failure = None if self._settings.is_dry_run else outcomes.of_expression(error, self._around.mask)
            return step.id, failure

    def _reason_to_skip(self, step: Step, scope: Scope, name: str) -> str:
        if step.when is not None and not evaluate_condition(step.when, scope.context()):
            return f"when: {step.when.source}"
        if step.confirm is None or self._settings.answers_yes or self._settings.is_dry_run:
            return ""
        text = str(render(step.confirm, scope.context()))
        if self._around.ask is None:
            raise ExpressionError(f'"{text}" needs an answer; run it at a terminal, or give --yes', step.span)
        with self._asking:
            step_id = scope.id(step)
            self._emit(events.ConfirmationRequested, step_id=step_id, text=tidy_text(text, self._around.mask))
            return "" if self._around.ask(tidy_text(f"{name}: {text}", self._around.mask)) else "not confirmed"

    def _loop(self, step: Step, items: tuple[object, ...], scope: Scope, *, name: str) -> StepResult:
        started = time.monotonic()
        loop_id = scope.id(step)
        self._tell_of_start(step, scope, name, item_count=len(items))
        state, views = _State(), list[Views]()
        branch = Branch(scope.halt)
        is_concurrent = step.max_parallel > 1
        changes: dict[str, Any] = (
            {"halt": branch, "is_isolated": True, "is_concurrent": True} if is_concurrent else {}
        )
        scopes = []
        for number, item in enumerate(items, start=1):
            inner = scope.for_item(number, item, loop_id=loop_id)
            scopes.append(replace(inner, **changes) if changes else inner)
            views.append(inner.views)
        results: dict[int, StepResult] = {}

        def run(index: int) -> None:
            inner = scopes[index]
            label = self._around.mask(label_of(items[index]))

            def once() -> StepResult:
                name, failure = self._name_of(step, inner, label=label)
                results[index] = self._once(step, inner, name=name, failure=failure)
                return results[index]

            self._add_concurrent(state, branch, inner, once, step)

        if is_concurrent:
            together(run, count=len(items), at_once=step.max_parallel, halt=branch)
        else:
            self._items_in_order(step, items, scopes, state)
        return self._finish_loop(step, scope, state, views, name=name, duration_seconds=time.monotonic() - started)

    def _items_in_order(self, step: Step, items: tuple[object, ...], scopes: list[Scope], state: _State) -> None:
        for item, inner in zip(items, scopes, strict=True):
            label = self._around.mask(label_of(item))
            reason = self._reason_to_end(state, inner)
            if reason:
                self._note_end(state, self._leave(step, inner, _NOT_RUN, reason=reason, label=label), inner)
                continue
            name, failure = self._name_of(step, inner, label=label)
            state.add(self._once(step, inner, name=name, failure=failure))

    def _finish_loop(
        self, step: Step, scope: Scope, state: _State, views: list[Views], *, name: str, duration_seconds: float
    ) -> StepResult:
        if scope.limit.is_over and state.failed is not None and not state.is_interrupted:
            state.expired = scope.limit.first
        ended = _result_of(state)
        seen = [view[step.id] for view in views]
        extra: dict[str, object] = {"results": seen}
        if all("output" in view for view in seen):
            extra["output"] = [view["output"] for view in seen]
        result = StepResult(
            step_id=scope.id(step),
            name=name,
            status=ended.status,
            role=scope.role,
            duration_seconds=duration_seconds,
            attempt_count=1,
            failure=ended.failure,
            # An item that may fail has said so itself; the loop goes on, and is as good as its items.
            is_group=True,
            file=scope.file,
            line=step.span.line,
        )
        return self._finish(step, scope, result, extra)

    def _once(self, step: Step, scope: Scope, *, name: str, failure: Failure | None = None) -> StepResult:
        started = time.monotonic()
        if step.no_log:
            scope = replace(scope, is_hidden=True)
        if failure is not None:
            outcome = outcomes.failed(failure)
        elif step.lock is not None:
            with self._held(step.lock, scope, step_id=scope.id(step)) as (inner, refused):
                outcome = (
                    self._run(step, inner, name)
                    if refused is None
                    else Outcome(result=refused, attempt_count=0)
                )
        else:
            outcome = self._run(step, scope, name)
        ended = outcome.result
        result = StepResult(
            step_id=scope.id(step),
            name=name,
            status=ended.status,
            role=scope.role,
            tolerated=outcomes.is_tolerated(step, ended),
            attempt_count=outcome.attempt_count,
            duration_seconds=time.monotonic() - started,
            failure=ended.failure,
            reason=ended.reason,
            warnings=ended.warnings,
            is_group=not isinstance(step, CommandStep),
            file=scope.file,
            line=step.span.line,
        )
        has_output = isinstance(step, CommandStep) and step.capture is not None and ended.status is _SUCCEEDED
        return self._finish(step, scope, result, {"output": outcome.output} if has_output else {})

    def _run(self, step: Step, scope: Scope, name: str) -> Outcome:
        match step:
            case CommandStep():
                return self._command(step, scope, name)
            case CallStep():
                return self._call(step, scope, name)
        return self._group(step, scope, name)

    def _group(self, step: GroupStep, scope: Scope, name: str) -> Outcome:
        self._tell_of_start(step, scope, name)
        inner = scope.inside(scope.id(step))

        def once() -> tuple[AttemptResult, object]:
            owner = f'"{step.id}"'
            state = self._block(step.block, inner, timeout_seconds=step.timeout_seconds, owner=owner)
            return self._check_until(step.retry, step, scope, _result_of(state)), None

        return self._attempts(step, scope, once)

    def _call(self, step: CallStep, scope: Scope, name: str) -> Outcome:
        self._tell_of_start(step, scope, name)
        planned = self._plan.steps.get(scope.id(step))

        def once() -> tuple[AttemptResult, object]:
            inputs = planned.inputs if planned is not None and planned.is_final else None
            try:
                inputs = inputs or resolve_call(step, scope.inputs, scope.context())
            except ExpressionError as error:
                return outcomes.failed(outcomes.of_expression(error, self._around.mask)).result, None
            errors = [item for item in inputs.diagnostics if item.severity is Severity.ERROR]
            if errors:
                return outcomes.failed(outcomes.of_diagnostics(errors, self._around.mask)).result, None
            inner = scope.inside(
                scope.id(step),
                inputs=inputs,
                views={},
                prefix=f"{scope.key(step)}/",
                file=step.runbook.path,
                limit=scope.limit.within(step.timeout_seconds, owner=f'"{step.id}"'),
                is_isolated=scope.is_isolated or step.timeout_seconds is not None,
            )
            result = self._runbook(step.runbook, inner, owner=f'"{step.runbook.name}"')
            return self._check_until(step.retry, step, scope, result), None

        return self._attempts(step, scope, once)

    def _command(self, step: CommandStep, scope: Scope, name: str) -> Outcome:
        step_id = scope.id(step)
        tokens, warnings, failure = self._tokens(step, scope, step_id)
        argv = (MASK,) if scope.is_hidden else tuple(self._around.mask(token) for token in tokens)
        command = str(step.command[0].value)
        self._tell_of_start(step, scope, name, argv=(command, *argv))
        if failure is not None:
            return outcomes.failed(failure)

        def write_line(stream: str, line: str) -> None:
            if not scope.is_hidden:
                self._emit(events.StepOutputWritten, step_id=step_id, stream=stream, line=line)

        def once() -> tuple[AttemptResult, object]:
            result = self._execute(step, scope, command=command, tokens=tokens, write_line=write_line)
            if scope.is_hidden and result.failure is not None:
                hidden = replace(result.failure, message="(hidden by no_log)", traceback="")
                result = replace(result, failure=hidden)
            if warnings:
                result = replace(result, warnings=(*warnings, *result.warnings))
            return self._captured(step, scope, result)

        return self._attempts(step, scope, once)

    def _execute(self, step: CommandStep, scope: Scope, **call: Any) -> AttemptResult:
        call |= {"keeps_stdout": step.capture is not None, "halt": scope.halt}
        if not (scope.is_isolated or step.isolate or step.timeout_seconds is not None):
            return self._around.execute(**call)
        limit = scope.limit.within(step.timeout_seconds, owner=f'"{step.id}"')
        deadline = limit.first
        result = self._around.isolate(**call, deadline_at=None if deadline is None else deadline.at)
        if result.status is not _TIMED_OUT or deadline is None:
            return result
        message = result.failure.message if result.failure is not None else ""
        return replace(result, failure=outcomes.of_time(deadline, message))

    def _tokens(
        self, step: CommandStep, scope: Scope, step_id: str
    ) -> tuple[tuple[str, ...], tuple[str, ...], Failure | None]:
        """The tokens with all values known, the warnings and the errors of a last check."""
        planned = self._plan.steps.get(step_id)
        if planned is not None and planned.is_final:
            return planned.binding.tokens, (), None
        binding = self._around.binder.bind(step, inputs=scope.inputs, context=scope.context())
        errors = [diagnostic for diagnostic in binding.diagnostics if diagnostic.severity is Severity.ERROR]
        warnings = tuple(item.message for item in binding.diagnostics if item.severity is Severity.WARNING)
        if not errors:
            return binding.tokens, warnings, None
        return (), warnings, outcomes.of_diagnostics(errors, self._around.mask)

    def _captured(self, step: CommandStep, scope: Scope, result: AttemptResult) -> tuple[AttemptResult, object]:
        if step.capture is None or result.status is not _SUCCEEDED:
            return self._check_until(step.retry, step, scope, result), None
        try:
            output = read_output(result.stdout, step.capture)
        except (ValueError, RecursionError) as error:
            text = tidy_text(f"capture: {step.capture}: the output is not JSON: {error}", self._around.mask)
            failure = Failure(error_type=type(error).__name__, message=text, exit_code=1)
            return replace(result, status=_FAILED, failure=failure), None
        scope.views[step.id] = outcomes.view_of(scope.id(step), status=_SUCCEEDED, output=output)
        return self._check_until(step.retry, step, scope, result), output

    def _check_until(self, retry: Retry | None, step: Step, scope: Scope, result: AttemptResult) -> AttemptResult:
        if retry is None or retry.until is None or result.status is not _SUCCEEDED:
            return result
        if not (isinstance(step, CommandStep) and step.capture is not None):
            scope.views[step.id] = outcomes.view_of(scope.id(step), status=_SUCCEEDED)
        try:
            if evaluate_condition(retry.until, scope.context()):
                return result
            message = f"until: {retry.until.source} is not true yet"
            failure = Failure(error_type=policy.UNTIL_NOT_MET, message=message, exit_code=1)
        except ExpressionError as error:
            failure = outcomes.of_expression(error, self._around.mask)
        return replace(result, status=_FAILED, failure=failure)

    def _attempts(
        self, step: Step, scope: Scope, once: Callable[[], tuple[AttemptResult, object]]
    ) -> Outcome:
        def on_failed(count: int, delay_seconds: float, failure: Failure) -> None:
            self._emit(
                events.AttemptFailed,
                step_id=scope.id(step),
                attempt=count,
                attempt_count=step.retry.attempts if step.retry else 1,
                delay_seconds=delay_seconds,
                failure=failure,
            )

        return attempt(
            once, retry=step.retry, halt=scope.halt, limit=scope.limit, on_failed=on_failed, rng=self._around.rng
        )

    # -- locks -------------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def _held(
        self, settings: LockSettings | None, scope: Scope, *, step_id: str
    ) -> Iterator[tuple[Scope, AttemptResult | None]]:
        """The scope under the lock, or what became of it instead; a dry run leaves no trace and takes no lock."""
        if settings is None or self._settings.is_dry_run:
            yield scope, None
            return
        try:
            lock, refused = self._obtain(settings, scope, step_id=step_id)
        except ExpressionError as error:
            lock, refused = None, outcomes.failed(outcomes.of_expression(error, self._around.mask)).result
        except RunbookError as error:
            failure = Failure(error_type=type(error).__name__, message=str(error), exit_code=error.exit_code)
            lock, refused = None, outcomes.failed(failure).result
        if lock is None:
            yield scope, refused
            return
        try:
            yield replace(scope, locks=(*scope.locks, lock)), None
        finally:
            lock.release()

    def _obtain(
        self, settings: LockSettings, scope: Scope, *, step_id: str
    ) -> tuple[Lock | None, AttemptResult | None]:
        name = tidy_text(str(render(settings.name, scope.context())), self._around.mask)
        if scope.holds(name):
            return None, None

        def on_wait(holder: Holder) -> None:
            self._emit(events.LockAwaited, step_id=step_id, name=name, holder=str(holder))

        lock = self._around.new_lock(name)
        conflict = locking.obtain(lock, settings, halt=scope.halt, limit=scope.limit, on_wait=on_wait)
        if conflict is None:
            return lock, None
        if scope.halt.is_requested:
            return None, AttemptResult(status=_INTERRUPTED, failure=conflict.as_failure())
        if settings.on_conflict == "skip":
            return None, AttemptResult(status=_SKIPPED, reason=str(conflict))
        return None, AttemptResult(status=_FAILED, failure=conflict.as_failure())

    # -- results -----------------------------------------------------------------------------------------------------

    def _tell_of_start(self, step: Step, scope: Scope, name: str, **more: Any) -> None:
        self._emit(
            events.StepStarted,
            step_id=scope.id(step),
            name=name,
            group_ids=scope.group_ids,
            role=scope.role,
            is_concurrent=scope.is_concurrent,
            file=scope.file,
            line=step.span.line,
            **more,
        )

    def _finish(
        self, step: Step, scope: Scope, result: StepResult, seen: Mapping[str, object], *, is_told: bool = True
    ) -> StepResult:
        scope.views[step.id] = outcomes.view_of(result.step_id, status=result.status, result=result, **seen)
        with self._lock:
            # A step that runs again, because its group is retried, stands where it ended last.
            self._results.pop(result.step_id, None)
            self._results[result.step_id] = result
        if is_told:
            self._emit(events.StepFinished, result=result, group_ids=scope.group_ids)
        return result

    def _leave(
        self, step: Step, scope: Scope, status: StepStatus, *, reason: str, label: str = "", is_told: bool = True
    ) -> StepResult:
        """Finish a step without running it, and all that stands in it; of a loop nobody knows the items."""
        name = step.name if isinstance(step.name, str) else step.id
        result = StepResult(
            step_id=scope.id(step),
            name=f"{name} ({label})" if label else name,
            status=status,
            role=scope.role,
            reason=reason,
            is_group=not isinstance(step, CommandStep) or (step.for_each is not None and not label),
            file=scope.file,
            line=step.span.line,
        )
        self._finish(step, scope, result, {}, is_told=is_told)
        if step.for_each is not None and not label:
            return result
        inner = scope.inside(result.step_id)
        if isinstance(step, CallStep):
            inner = replace(inner, views={}, prefix=f"{scope.key(step)}/", file=step.runbook.path)
        block = step.block if isinstance(step, GroupStep) else step.runbook.block if isinstance(step, CallStep) else None
        if block is not None:
            for role, steps in lists_of(block, scope.role):
                is_handler = role is not scope.role
                for below in steps:
                    own = replace(inner, role=role)
                    self._leave(below, own, status, reason=reason, is_told=is_told and not is_handler)
        return result


def _result_of(state: _State) -> AttemptResult:
    """How a block or a loop ended as a whole."""
    if state.is_interrupted:
        return AttemptResult(status=_INTERRUPTED)
    if state.expired is not None:
        first = state.failed
        is_same = first is None or first.failure is None or first.failure.error_type == "TimeoutError"
        below = "" if is_same or first is None else f'step "{first.step_id}" was failed'
        return AttemptResult(status=_TIMED_OUT, failure=outcomes.of_time(state.expired, below))
    if state.failed is None:
        return AttemptResult(status=_SUCCEEDED)
    return AttemptResult(status=_FAILED, failure=outcomes.below(state.failed))


def _over(deadline: Deadline | None) -> str:
    return f"the timeout of {deadline.owner} is over" if deadline is not None else ""


def _names_for_handlers(state: _State) -> dict[str, object]:
    failed = state.failed
    if state.is_interrupted:
        status = RunStatus.INTERRUPTED
    else:
        status = RunStatus.SUCCEEDED if failed is None else RunStatus.FAILED
    values: dict[str, object] = {"status": status.value}
    if failed is not None:
        values |= {"failed_step": failed.step_id, "error": failed.failure.message if failed.failure else ""}
    return {name: value for name, value in values.items() if name in HANDLER_RUN_NAMES}
