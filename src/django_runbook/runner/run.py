"""A Plan to events and a RunResult: the steps in their order, with their loops, locks, limits and handlers."""

from __future__ import annotations

import contextlib
import datetime
import functools
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from django_runbook import events
from django_runbook.binding.binder import Binder
from django_runbook.binding.plan import Plan, PlannedStep
from django_runbook.document.diagnostics import Severity
from django_runbook.document.expressions import ExpressionError, evaluate_condition, render_text
from django_runbook.document.inputs import resolve_call
from django_runbook.document.loops import digest_of, items_of, label_of, other_item
from django_runbook.document.runbook import Block, CallStep, CommandStep, GroupStep, LockSettings, Runbook, Step
from django_runbook.exceptions import JournalLost, LockHeld
from django_runbook.executors.base import Execute
from django_runbook.locks.base import Lock
from django_runbook.process.cleaning import CleanUps
from django_runbook.process.deadlines import Branch, Deadline, Halt
from django_runbook.process.failures import failure_of
from django_runbook.process.isolation import Isolation
from django_runbook.process.masking import Mask
from django_runbook.process.stopping import Stop
from django_runbook.process.streams import tidy_text
from django_runbook.results import (
    AttemptResult,
    ExitCode,
    Failure,
    Past,
    PastStep,
    Role,
    RunResult,
    RunStatus,
    StepResult,
    StepStatus,
)
from django_runbook.runner import outcomes, policy
from django_runbook.runner.attempts import Outcome, attempt
from django_runbook.runner.branches import in_turn, together
from django_runbook.runner.commands import CommandRunner, Once
from django_runbook.runner.locking import Locker, UnderLocks
from django_runbook.runner.questions import Ask, Questions
from django_runbook.runner.recording import NoRecorder, Recorder
from django_runbook.runner.restoring import Restorer
from django_runbook.runner.scope import Scope, Views, layered
from django_runbook.runner.state import State
from django_runbook.runner.telling import NO_ITEMS, Teller

# Each look-up in the class costs as much as a call, and a step has a dozen of them.
_NO_PAST: Final = Past()
# A name may be an output, and is drawn on a screen many times.
_MAX_NAME: Final = 200
_SUCCEEDED, _FAILED, _SKIPPED = StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.SKIPPED
_INTERRUPTED, _NOT_RUN, _TIMED_OUT = StepStatus.INTERRUPTED, StepStatus.NOT_RUN, StepStatus.TIMED_OUT


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How this run differs from another one of the same plan.

    ``left_out`` holds the keys of the steps that are not selected, with the reason; ``lacks_dry_run`` of those that a
    dry run cannot call. ``past`` is what earlier attempts have done.
    """

    left_out: Mapping[str, str] = field(default_factory=dict)
    lacks_dry_run: frozenset[str] = frozenset()
    is_dry_run: bool = False
    keeps_going: bool = False
    is_strict: bool = False
    answers_yes: bool = False
    asks_before_steps: bool = False
    past: Past = field(default_factory=Past)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the runner asks of the world.

    ``execute`` calls a command in this process, ``isolate`` in a process of its own, and ``isolation`` decides which of
    the two. ``new_lock`` makes the lock of a name, and ``space`` keeps this project's locks apart. ``write_files``
    writes the reports that are files, and returns what could not be written.
    """

    execute: Execute
    isolate: Execute
    isolation: Isolation
    new_lock: Callable[[str], Lock]
    space: str = ""
    emit: events.Listener
    binder: Binder
    stop: Stop
    mask: Mask
    ask: Ask | None = None
    write_files: Callable[[events.RunFinished], tuple[str, ...]] = lambda event: ()
    recorder: Recorder = field(default_factory=NoRecorder)
    clock: Callable[[], datetime.datetime] = lambda: datetime.datetime.now(datetime.UTC)
    rng: random.Random = field(default_factory=random.Random)


def run(plan: Plan, settings: Settings, around: Surroundings) -> RunResult:
    """Run a plan that was found to be without errors; everything that happens is emitted."""
    return _Run(plan, settings, around).run()


class _Run:
    def __init__(self, plan: Plan, settings: Settings, around: Surroundings) -> None:
        self._plan = plan
        self._settings = settings
        self._around = around
        self._teller = Teller(around.emit, around.clock, around.recorder)
        self._commands = CommandRunner(
            planned=plan.steps,
            binder=around.binder,
            execute=around.execute,
            isolate=around.isolate,
            isolation=around.isolation,
            recorder=around.recorder,
            run_id=str(plan.inputs.run.get("id", "")),
            succeeded_counts=dict(settings.past.succeeded_counts),
            teller=self._teller,
            mask=around.mask,
        )
        self._questions = Questions(around.ask, teller=self._teller, stop=around.stop, mask=around.mask)
        self._locker = Locker(new_lock=around.new_lock, teller=self._teller, mask=around.mask, space=around.space)
        self._restorer = Restorer(past=settings.past, teller=self._teller)
        self._teller.restore = self._restore
        self._has_failed_handler = settings.past.has_failed_handler
        # The branches of a parallel group end steps at the same time.
        self._lock = threading.Lock()

    def run(self) -> RunResult:
        started = time.monotonic()
        runbook, stop = self._plan.runbook, self._around.stop
        self._teller.tell(
            events.RunStarted,
            run_id=str(self._plan.inputs.run.get("id", "")),
            name=runbook.name,
            file=runbook.path,
            step_count=sum(1 for _ in self._selected_commands()),
            dry_run=self._settings.is_dry_run,
            inline_reason=self._around.isolation.reason,
        )
        self._teller.wait()
        self._raise_fault()
        scope = Scope(inputs=self._plan.inputs, run_names=self._plan.inputs.run, halt=stop, file=runbook.path)
        bug: Exception | None = None
        try:
            outcome = self._runbook(runbook, scope, owner="the run")
        except Exception as error:  # noqa: BLE001 - outside of all steps; it is raised once the run is closed
            bug = error
            failure = failure_of(error, self._around.mask, exit_code=ExitCode.FAULT)
            reason = f"internal error: {failure.error_type}: {failure.message}"
            outcome = AttemptResult(status=_FAILED, failure=failure, reason=reason)
        status, fault = self._status_of_run(outcome), self._teller.fault
        result = RunResult(
            status=RunStatus.FAILED if fault is not None else status,
            exit_code=fault.exit_code if fault is not None else self._exit_code(status, outcome),
            steps=tuple(self._teller.results.values()),
            duration_seconds=time.monotonic() - started,
            reason=str(fault) if fault is not None else outcome.reason,
        )
        result = self._with_warnings(result)
        self._teller.tell(events.RunFinished, result=result)
        self._teller.wait()
        if bug is not None:
            raise bug
        if fault is None:
            self._raise_fault()
        return result

    def _with_warnings(self, result: RunResult) -> RunResult:
        """Write the reports that are files; what could not be written is a warning of the run."""
        found = self._around.write_files(events.RunFinished(at=self._around.clock(), result=result))
        if not found:
            return result
        warnings = tuple(tidy_text(text, self._around.mask) for text in found)
        if result.status is not RunStatus.SUCCEEDED:
            return replace(result, warnings=warnings)
        exit_code = ExitCode.FAILED if self._settings.is_strict else result.exit_code
        return replace(result, status=RunStatus.WARNING, exit_code=exit_code, warnings=warnings)

    def _raise_fault(self) -> None:
        if self._teller.fault is not None:
            raise self._teller.fault

    def _selected_commands(self) -> Iterator[PlannedStep]:
        for planned in self._plan.steps.values():
            is_selected = planned.role is Role.STEP and planned.key not in self._settings.left_out
            if is_selected and isinstance(planned.step, CommandStep) and not planned.is_loop:
                yield planned

    def _status_of_run(self, outcome: AttemptResult) -> RunStatus:
        if _is_refused(outcome) and not self._settings.past.started:
            return RunStatus.REFUSED
        statuses = {result.status for result in self._teller.results.values()}
        if self._around.stop.is_requested and (statuses & {_INTERRUPTED, _NOT_RUN} or outcome.status is _INTERRUPTED):
            return RunStatus.INTERRUPTED
        if outcome.status in outcomes.FAILURES or (outcome.status is _INTERRUPTED and outcome.failure is not None):
            return RunStatus.FAILED
        return RunStatus.WARNING if self._has_warnings() else RunStatus.SUCCEEDED

    def _has_warnings(self) -> bool:
        return self._has_failed_handler or any(result.tolerated for result in self._teller.results.values())

    def _exit_code(self, status: RunStatus, outcome: AttemptResult) -> int:
        match status:
            case RunStatus.INTERRUPTED:
                return self._around.stop.exit_code
            case RunStatus.WARNING if self._settings.is_strict:
                return ExitCode.FAILED
            case RunStatus.FAILED | RunStatus.REFUSED:
                if outcome.status is _TIMED_OUT:
                    return ExitCode.TIMED_OUT
                if outcome.status is _SKIPPED:
                    return ExitCode.SUCCEEDED
                # If the run's own lock was refused, nothing was run, for a reason that has a code of its own.
                return outcome.failure.exit_code if outcome.failure is not None and outcome.reason else ExitCode.FAILED
        return ExitCode.SUCCEEDED

    # -- runbooks and blocks -----------------------------------------------------------------------------------------

    def _runbook(self, runbook: Runbook, scope: Scope, *, owner: str) -> AttemptResult:
        """Run a whole file under its lock and its timeout; where the lock is not free, nothing of it is run."""
        step_id = scope.group_ids[-1] if scope.group_ids else ""
        with self._held(runbook.lock, scope, step_id=step_id) as (inner, refused):
            if refused is None:
                state = self._block(runbook.block, inner, timeout_seconds=runbook.timeout_seconds, owner=owner)
                return state.result()
        status = _SKIPPED if refused.status is _SKIPPED else _NOT_RUN
        reason = refused.reason or (refused.failure.message if refused.failure is not None else "")
        # Where nothing at all is run, one line says why.
        self._teller.leave_block(runbook.block, scope, status, reason=reason, is_told=bool(scope.group_ids))
        return replace(refused, reason=reason)

    def _held(
        self, settings: LockSettings | None, scope: Scope, *, step_id: str
    ) -> contextlib.AbstractContextManager[tuple[Scope, AttemptResult | None]]:
        # A dry run leaves no trace, and takes no lock.
        if settings is None or self._settings.is_dry_run:
            return contextlib.nullcontext((scope, None))
        started = self._past(scope).started
        if settings.on_conflict == "skip" and (step_id in started or (started and not step_id)):
            # To leave out the rest of what an earlier attempt has begun would make a success of what has failed.
            settings = replace(settings, on_conflict="fail")
        return self._locker.held(settings, scope, step_id=step_id)

    def _block(self, block: Block, scope: Scope, *, timeout_seconds: float | None, owner: str) -> State:
        inner = replace(scope, is_fail_fast=block.fail_fast and not self._settings.keeps_going)
        if timeout_seconds is not None:
            inner = replace(inner, limit=scope.limit.within(timeout_seconds, owner=owner), is_isolated=True)
        state = State()
        if block.is_parallel:
            self._branches(block, inner, state)
        else:
            self._sequence(block.steps, inner, state)
        state.is_interrupted = state.is_interrupted or scope.halt.is_requested
        if inner.limit.first is not None and inner.limit.is_over:
            state.expire(inner.limit.first)
        self._handlers(block, state, replace(inner, limit=scope.limit))
        return state

    def _sequence(self, steps: tuple[Step, ...], scope: Scope, state: State) -> None:
        for step in steps:
            reason = self._reason_to_end(step, state, scope)
            if reason:
                self._note_end(state, self._teller.leave(step, scope, _NOT_RUN, reason=reason), scope)
            else:
                state.add(self._step(step, scope), is_over=scope.limit.is_over)

    def _reason_to_end(self, step: Step, state: State, scope: Scope) -> str:
        if self._past_of(step, scope) is not None:
            # What is done stays done, also where nothing more is run: a next attempt would repeat it.
            return ""
        if (fault := self._teller.fault_before(scope)) is not None:
            return str(fault)
        if scope.halt.is_requested or state.is_interrupted:
            return scope.halt.reason
        if state.failed is not None and scope.is_fail_fast:
            return f'"{state.failed.step_id}" failed'
        return _over(scope.limit.first) if scope.limit.is_over else ""

    def _note_end(self, state: State, result: StepResult, scope: Scope) -> None:
        """A step that is not run for want of time, or of a journal: what the block failed at, if none was before."""
        deadline, fault = scope.limit.first, self._teller.fault
        if state.failed is not None or state.is_interrupted:
            return
        if fault is not None:
            state.failed = replace(result, failure=outcomes.of_fault(fault))
        elif deadline is not None and scope.limit.is_over:
            state.failed = state.cut or replace(result, failure=deadline.failure())

    def _branches(self, block: Block, scope: Scope, state: State) -> None:
        branch = self._branch(scope)
        views: list[Views] = [layered(scope.views) for _ in block.steps]

        def run(index: int) -> None:
            step = block.steps[index]
            inner = replace(scope, halt=branch, views=views[index], is_isolated=True, is_concurrent=True)
            self._add_concurrent(state, branch, inner, lambda: self._step(step, inner), step)

        self._together(run, count=len(block.steps), at_once=block.max_parallel, halt=branch)
        for view in views:
            scope.views.update(getattr(view, "maps", [view])[0])

    def _add_concurrent(
        self,
        state: State,
        branch: Branch,
        scope: Scope,
        run: Callable[[], StepResult],
        step: Step,
        *,
        label: str | None = None,
    ) -> None:
        reason = self._reason_to_end(step, State(), scope)
        result = self._teller.leave(step, scope, _NOT_RUN, reason=reason, label=label) if reason else run()
        with self._lock:
            if reason:
                self._note_end(state, result, scope)
            elif result.status is not _INTERRUPTED or not branch.is_canceled:
                state.add(result, is_over=scope.limit.is_over)
            is_over = state.failed is not None and scope.is_fail_fast
        # After a stop, the others end by themselves.
        if is_over and state.failed is not None and not branch.is_requested:
            branch.cancel(f'"{state.failed.step_id}" failed')

    def _branch(self, scope: Scope) -> Branch:
        return Branch(scope.halt, grace_seconds=self._around.stop.timeout_seconds)

    def _together(self, run: Callable[[int], None], *, count: int, at_once: int | None, halt: Branch) -> None:
        """Run branches at the same time, or one after another where all share this process."""
        if self._around.isolation.is_possible:
            together(run, count=count, at_once=at_once, halt=halt)
        else:
            in_turn(run, count=count)

    def _handlers(self, block: Block, state: State, scope: Scope) -> None:
        if not (block.on_success or block.on_failure or block.finally_):
            return
        # A block inside does not know what its steps tolerate; the run does.
        has_warnings = not scope.group_ids and self._has_warnings()
        names = {**scope.run_names, **state.names_for_handlers(has_warnings=has_warnings)}
        is_succeeded = state.failed is None and not state.is_interrupted and self._teller.fault is None
        is_failed = state.failed is not None and not state.is_interrupted
        for role, steps, is_due in (
            (Role.ON_SUCCESS, block.on_success, is_succeeded),
            (Role.ON_FAILURE, block.on_failure, is_failed),
            (Role.FINALLY, block.finally_, True),
        ):
            halt: Halt = CleanUps(self._around.stop) if role is Role.FINALLY else scope.halt
            # What cleans up runs to its end, the items of a loop too, whatever else fails.
            inner = replace(scope, run_names=names, role=role, halt=halt, is_fail_fast=False)
            for step in steps:
                if not is_due or halt.is_requested:
                    self._teller.leave(step, inner, _SKIPPED, reason="not due", is_told=False)
                    continue
                # A deadline that passes between two handlers ends no more than the first of them.
                result = self._step(step, replace(inner, limit=scope.limit.without_expired()))
                if result.is_failure and not result.tolerated:
                    self._has_failed_handler = True

    # -- steps -------------------------------------------------------------------------------------------------------

    def _step(self, step: Step, scope: Scope) -> StepResult:
        """Run a step. Whatever fails around its command is its failure: data that nothing takes, or a bug of ours."""
        return self._guarded(step, scope, lambda: self._step_within(step, scope))

    def _guarded(self, step: Step, scope: Scope, run: Callable[[], StepResult]) -> StepResult:
        try:
            return run()
        except Exception as error:  # noqa: BLE001 - see `_step`
            failure = failure_of(error, self._around.mask)
            if scope.is_hidden or step.no_log:
                failure = outcomes.hidden(failure)
            return self._fail(step, scope, failure)

    def _fail(self, step: Step, scope: Scope, failure: Failure) -> StepResult:
        ended = AttemptResult(status=_FAILED, failure=failure)
        result = StepResult(
            step_id=scope.id(step),
            name=step.name if isinstance(step.name, str) else step.id,
            status=_FAILED,
            role=scope.role,
            tolerated=outcomes.is_tolerated(step, ended),
            failure=failure,
            is_group=not isinstance(step, CommandStep),
            file=scope.file,
            line=step.span.line,
        )
        try:
            return self._teller.finish(step, scope, result, {})
        except Exception as error:  # noqa: BLE001 - what cannot be recorded even so must not go on unseen
            self._teller.lose(JournalLost(f"internal error: {type(error).__name__}: {error}"))
            return result

    def _step_within(self, step: Step, scope: Scope) -> StepResult:
        if (past := self._restore(step, scope)) is not None:
            return past
        if step.no_log:
            scope = replace(scope, is_hidden=True)
        reason = self._reason_to_leave_out(step, scope)
        if reason:
            return self._teller.leave(step, scope, _SKIPPED, reason=reason)
        name, failure = self._name_of(step, scope)
        items: tuple[object, ...] | None = None
        try:
            reason = self._reason_to_skip(step, scope, name)
            if not reason and step.for_each is not None:
                items = items_of(step.for_each, scope.context())
                reason = "" if items else NO_ITEMS
        except ExpressionError as error:
            if self._settings.is_dry_run:
                reason = self._around.mask(f"dry run: {outcomes.HIDDEN if scope.is_hidden else error.message}")
                return self._teller.leave(step, scope, _SKIPPED, reason=reason)
            failure = failure or self._of_expression(error, scope)
        if failure is None and scope.halt.is_requested:
            # It came while a person was asked, and whatever the answer was: who goes on later is asked again.
            return self._teller.leave(step, scope, _NOT_RUN, reason=scope.halt.reason)
        if failure is None and reason:
            return self._teller.leave(step, scope, _SKIPPED, reason=reason)
        if items is not None:
            failure = failure or self._other_items(step, items, scope)
        if scope.locks and scope.role is Role.STEP:
            failure = failure or self._locker.lost(scope.locks, halt=scope.halt)
        if items is None or failure is not None:
            return self._once(step, scope, name=name, failure=failure)
        return self._loop(step, items, scope, name=name)

    def _past(self, scope: Scope) -> Past:
        """What earlier attempts have done here; handlers never count as done."""
        return self._settings.past if scope.role is Role.STEP and not scope.is_anew else _NO_PAST

    def _past_of(self, step: Step, scope: Scope) -> PastStep | None:
        past = self._past(scope).done.get(scope.id(step))
        if past is not None and past.is_until_open:
            ended = AttemptResult(status=_SUCCEEDED)
            asked = self._check_until(step, scope, ended, past.output, attempt_count=past.result.attempt_count)
            return past if asked.status is _SUCCEEDED else None
        return past

    def _other_items(self, step: Step, items: tuple[object, ...], scope: Scope) -> Failure | None:
        """The failure of a loop that has other items than those that are done: a number is all that they are known by.

        What only a run knows, such as the output of a step that has run again, nobody could look at before.
        """
        past = self._past(scope)
        loop_id = scope.id(step)
        for number, item in enumerate(items, start=1) if past.items else ():
            inner = scope.for_item(number, item, loop_id=loop_id)
            step_id = inner.id(step)
            before = past.items.get(step_id)
            # Of a command that failed nothing is done; of a group that did, some steps may be.
            if before is None or (isinstance(step, CommandStep) and step_id not in past.done):
                continue
            if before.item_hash != digest_of(item, mask=self._around.mask):
                message = other_item(loop_id, number, before=before.name, now=self._label_of(item, inner))
                return Failure(error_type="ItemsChanged", message=message, exit_code=1)
        return None

    def _restore(self, step: Step, scope: Scope) -> StepResult | None:
        past = self._past_of(step, scope)
        return None if past is None else self._restorer.restore(step, scope, past)

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
            name = tidy_text(render_text(step.name, scope.context()), self._around.mask)
            name = " ".join(name.split("\n"))
            return (name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 1]}…"), None
        except ExpressionError as error:
            failure = None if self._settings.is_dry_run else self._of_expression(error, scope)
            return step.id, failure

    def _label_of(self, item: object, scope: Scope) -> str:
        """How an item is called in the scope that is its own."""
        return str(scope.indexes[-1]) if scope.is_hidden else label_of(item, mask=self._around.mask)

    def _of_expression(self, error: ExpressionError, scope: Scope) -> Failure:
        return outcomes.of_expression(error, self._around.mask, is_hidden=scope.is_hidden)

    def _reason_to_skip(self, step: Step, scope: Scope, name: str) -> str:
        is_decided = scope.id(step) in self._past(scope).started
        if step.when is not None and not is_decided and not evaluate_condition(step.when, scope.context()):
            return self._around.mask(f"when: {step.when.source}")
        is_asked = step.confirm is not None and not self._settings.answers_yes and not self._settings.is_dry_run
        if is_asked and step.confirm is not None:
            text = render_text(step.confirm, scope.context())
            if reason := self._questions.confirm(step, text, step_id=scope.id(step), name=name, halt=scope.halt):
                return reason
        if self._settings.asks_before_steps and isinstance(step, CommandStep):
            return self._questions.before_step(step, step_id=scope.id(step), name=name, is_hidden=scope.is_hidden)
        return ""

    def _loop(self, step: Step, items: tuple[object, ...], scope: Scope, *, name: str) -> StepResult:
        started = time.monotonic()
        loop_id = scope.id(step)
        self._teller.start(step, scope, name, item_count=len(items))
        state, views = State(), list[Views]()
        branch = self._branch(scope)
        is_concurrent = step.max_parallel > 1
        changes: dict[str, Any] = {"halt": branch, "is_isolated": True, "is_concurrent": True} if is_concurrent else {}
        scopes = []
        for number, item in enumerate(items, start=1):
            inner = scope.for_item(number, item, loop_id=loop_id)
            scopes.append(replace(inner, **changes) if changes else inner)
            self._around.recorder.keep_item(inner.id(step), item)
            views.append(inner.views)

        def run(index: int) -> None:
            inner, item = scopes[index], items[index]
            label = self._safe_label(item, inner)
            self._add_concurrent(state, branch, inner, lambda: self._item(step, item, inner), step, label=label)

        if is_concurrent:
            self._together(run, count=len(items), at_once=step.max_parallel, halt=branch)
        else:
            self._items_in_order(step, items, scopes, state)
        return self._finish_loop(step, scope, state, views, name=name, duration_seconds=time.monotonic() - started)

    def _items_in_order(self, step: Step, items: tuple[object, ...], scopes: list[Scope], state: State) -> None:
        for item, inner in zip(items, scopes, strict=True):
            reason = self._reason_to_end(step, state, inner)
            if reason:
                label = self._safe_label(item, inner)
                self._note_end(state, self._teller.leave(step, inner, _NOT_RUN, reason=reason, label=label), inner)
            else:
                state.add(self._item(step, item, inner), is_over=inner.limit.is_over)

    def _item(self, step: Step, item: object, scope: Scope) -> StepResult:
        """Run a step for one item of its loop."""

        def run() -> StepResult:
            name, failure = self._name_of(step, scope, label=self._label_of(item, scope))
            return self._once(step, scope, name=name, failure=failure)

        return self._guarded(step, scope, run)

    def _safe_label(self, item: object, scope: Scope) -> str:
        try:
            return self._label_of(item, scope)
        except Exception:  # noqa: BLE001 - it is for a step that is not run, which does not fail
            return str(scope.indexes[-1])

    def _finish_loop(
        self, step: Step, scope: Scope, state: State, views: list[Views], *, name: str, duration_seconds: float
    ) -> StepResult:
        if scope.limit.first is not None and scope.limit.is_over:
            state.expire(scope.limit.first)
        ended = state.result()
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
        return self._teller.finish(step, scope, result, extra)

    def _once(self, step: Step, scope: Scope, *, name: str, failure: Failure | None = None) -> StepResult:
        if (past := self._restore(step, scope)) is not None:
            return past
        started = time.monotonic()
        if isinstance(step, CommandStep):
            scope = replace(scope, halt=self._halt_of_step(scope))
        if failure is not None:
            outcome = outcomes.failed(failure)
        elif step.lock is not None:
            with self._held(step.lock, scope, step_id=scope.id(step)) as (inner, refused):
                outcome = self._run(step, inner, name) if refused is None else Outcome(result=refused, attempt_count=0)
        else:
            outcome = self._run(step, scope, name)
        ended = self._without_lock(outcome.result, scope)
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
        has_output = _captures(step) and ended.status is _SUCCEEDED
        return self._teller.finish(step, scope, result, {"output": outcome.output} if has_output else {})

    def _halt_of_step(self, scope: Scope) -> Halt:
        """Return what ends a command: besides a stop, the loss of a lock that it works under."""
        halt = scope.halt.for_step()
        if not scope.locks or scope.role is not Role.STEP:
            return halt
        return UnderLocks(halt, scope.locks, grace_seconds=self._around.stop.timeout_seconds)

    def _without_lock(self, ended: AttemptResult, scope: Scope) -> AttemptResult:
        """Fail what was ended because its lock was lost."""
        if ended.status is not _INTERRUPTED or not any(held.is_lost for held in scope.locks):
            return ended
        failure = self._locker.lost(scope.locks, halt=scope.halt)
        return ended if failure is None else replace(ended, status=_FAILED, failure=failure)

    def _run(self, step: Step, scope: Scope, name: str) -> Outcome:
        match step:
            case CommandStep():
                attempts = functools.partial(self._attempts, step, scope)
                return self._commands.run(step, scope, name, attempts=attempts)
            case CallStep():
                return self._call(step, scope, name)
        return self._group(step, scope, name)

    def _group(self, step: GroupStep, scope: Scope, name: str) -> Outcome:
        self._teller.start(step, scope, name)
        scopes = _of_attempts(scope)

        def once() -> tuple[AttemptResult, object]:
            inner, owner = next(scopes).inside(scope.id(step)), f'"{step.id}"'
            state = self._block(step.block, inner, timeout_seconds=step.timeout_seconds, owner=owner)
            return state.result(), None

        return self._attempts(step, scope, once)

    def _call(self, step: CallStep, scope: Scope, name: str) -> Outcome:
        self._teller.start(step, scope, name)
        planned = self._plan.steps.get(scope.id(step))
        scopes = _of_attempts(scope)

        def once() -> tuple[AttemptResult, object]:
            inputs = planned.inputs if planned is not None and planned.is_final else None
            try:
                inputs = inputs or resolve_call(step, scope.inputs, scope.context())
            except ExpressionError as error:
                return outcomes.failed(self._of_expression(error, scope)).result, None
            errors = [item for item in inputs.diagnostics if item.severity is Severity.ERROR]
            if errors:
                failure = outcomes.of_diagnostics(errors, self._around.mask, is_hidden=scope.is_hidden)
                return outcomes.failed(failure).result, None
            inner = next(scopes).inside(
                scope.id(step),
                inputs=inputs,
                views={},
                prefix=f"{scope.key(step)}/",
                file=step.runbook.path,
                limit=scope.limit.within(step.timeout_seconds, owner=f'"{step.id}"'),
                is_isolated=scope.is_isolated or step.timeout_seconds is not None,
            )
            return self._runbook(step.runbook, inner, owner=f'"{step.runbook.name}"'), None

        return self._attempts(step, scope, once)

    def _attempts(self, step: Step, scope: Scope, once: Once) -> Outcome:
        counts = itertools.count(1)

        def once_and_look() -> tuple[AttemptResult, object]:
            result, output = once()
            return self._check_until(step, scope, result, output, attempt_count=next(counts)), output

        def on_started(count: int) -> None:
            self._teller.tell(events.AttemptStarted, step_id=scope.id(step), attempt=count)
            self._teller.wait()

        def on_failed(count: int, delay_seconds: float, failure: Failure) -> None:
            self._teller.tell(
                events.AttemptFailed,
                step_id=scope.id(step),
                attempt=count,
                attempt_count=step.retry.attempts if step.retry else 1,
                delay_seconds=delay_seconds,
                failure=failure,
            )

        return attempt(
            once_and_look,
            retry=step.retry,
            halt=scope.halt,
            limit=scope.limit,
            is_lost=lambda: self._teller.fault_before(scope) is not None,
            on_started=on_started,
            on_failed=on_failed,
            rng=self._around.rng,
        )

    def _check_until(
        self, step: Step, scope: Scope, result: AttemptResult, output: object, *, attempt_count: int
    ) -> AttemptResult:
        retry = step.retry
        if retry is None or retry.until is None or result.status is not _SUCCEEDED:
            return result
        seen: dict[str, Any] = {"output": output} if _captures(step) else {}
        seen |= {"exit_code": 0, "attempts": attempt_count}
        scope.views[step.id] = outcomes.view_of(scope.id(step), status=_SUCCEEDED, **seen)
        try:
            if evaluate_condition(retry.until, scope.context()):
                return result
            message = self._around.mask(f"{policy.UNTIL}{retry.until.source} is not true yet")
            failure = Failure(error_type=policy.UNTIL_NOT_MET, message=message, exit_code=1)
        except ExpressionError as error:
            failure = self._of_expression(error, scope)
        return replace(result, status=_FAILED, failure=failure)


def _of_attempts(scope: Scope) -> Iterator[Scope]:
    """The scope of each attempt of a group: a run that was resumed goes on in the first, and each other begins anew."""
    yield scope
    anew = replace(scope, is_anew=True)
    while True:
        yield anew


def _is_refused(outcome: AttemptResult) -> bool:
    """Return whether the run's own lock is held by another run: only then its steps are left with a reason."""
    is_held = outcome.failure is not None and outcome.failure.error_type == LockHeld.__name__
    return outcome.status is _SKIPPED or (outcome.status is _FAILED and is_held and bool(outcome.reason))


def _captures(step: Step) -> bool:
    return isinstance(step, CommandStep) and step.capture is not None


def _over(deadline: Deadline | None) -> str:
    return f"the timeout of {deadline.owner} is over" if deadline is not None else ""
