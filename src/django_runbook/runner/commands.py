"""Calls commands: evaluates their arguments, calls them, and reads their output."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from django_runbook import events
from django_runbook.binding.binder import Binder
from django_runbook.binding.unbound import Binding
from django_runbook.cleaning import MASK, Mask
from django_runbook.document.codes import Severity
from django_runbook.document.runbook import CommandStep
from django_runbook.exceptions import JournalLost, RunbookError, names_of
from django_runbook.executors.base import Execute, ExecutorCall, QueueRequest
from django_runbook.executors.capturing import MAX_DEPTH, read_output
from django_runbook.executors.messages import Commit, RollBack
from django_runbook.planning.planned_step import PlannedStep
from django_runbook.process.deadlines import Limit
from django_runbook.process.isolation import Isolation
from django_runbook.process.streams import clean_text
from django_runbook.results import AttemptResult, Failure, StepStatus
from django_runbook.row_account import RowAccount
from django_runbook.runner import outcomes
from django_runbook.runner.emitter import Emitter
from django_runbook.runner.loop_progress import Counts
from django_runbook.runner.recorder import Recorder
from django_runbook.runner.retries import Once
from django_runbook.runner.step_scope import Scope
from django_runbook.structs import MutableStruct, Struct, replace

MAX_KEY: Final = 160


class CommandRunner(Struct):
    """Calls commands, with ``execute`` in this process and with ``isolate`` in one of their own.

    ``enqueue`` calls them on workers; it is None if no step runs there. ``open_calls`` are the calls that an earlier
    attempt of the run has left on workers, by the ids of their steps. ``environ_of`` returns the environment variables
    that the process of a step gets in addition.
    """

    planned: Mapping[str, PlannedStep]
    binder: Binder
    execute: Execute
    isolate: Execute | None
    enqueue: Execute | None
    is_repeatable: Callable[[CommandStep, Sequence[str]], bool]
    open_calls: dict[str, str]
    isolation: Isolation
    recorder: Recorder
    run_id: str
    emitter: Emitter
    mask: Mask
    succeeded_counts: dict[str, int]
    is_dry_run: bool = False
    environ_of: Callable[[str], Mapping[str, str]] = lambda step_id: {}

    def prepare(self, step: CommandStep, scope: Scope, name: str) -> tuple[Once, Failure | None]:
        """Emit the start of a command; returns the function that calls it once, and the failure of its arguments."""
        step_id = scope.id(step)
        binding, warnings, failure = self._binding(step, scope, step_id)
        argv = (MASK,) if scope.is_hidden else tuple(self.mask(token) for token in binding.tokens)
        command = str(step.command[0].value)
        self.emitter.start(step, scope, name, argv=(command, *argv))
        self.emitter.wait()
        if (error := self.emitter.error_before(scope)) is not None:
            failure = outcomes.of_error(error)

        def once() -> tuple[AttemptResult, object]:
            call = _CommandCall(runner=self, step=step, scope=scope, binding=binding, warnings=warnings)
            result = call.run()
            if result.status is StepStatus.SUCCEEDED:
                self.succeeded_counts[step_id] = self.succeeded_counts.get(step_id, 0) + 1
            return result, call.output

        return once, failure

    def is_isolated(self, step: CommandStep, scope: Scope) -> bool:
        """Return whether a step runs in a process of its own."""
        if not self.isolation.is_possible:
            return False
        if scope.is_isolated or step.timeout_seconds is not None or step.env:
            return True
        return self.isolation.is_default if step.isolate is None else step.isolate

    def _binding(
        self, step: CommandStep, scope: Scope, step_id: str
    ) -> tuple[Binding, tuple[str, ...], Failure | None]:
        """Return the binding with all values known, and the warnings and errors of a last check."""
        planned = self.planned.get(step_id)
        if planned is not None and planned.is_final:
            return planned.binding, (), None
        binding = self.binder.bind(step, inputs=scope.inputs, context=scope.context())
        errors = [diagnostic for diagnostic in binding.diagnostics if diagnostic.severity is Severity.ERROR]
        warnings = tuple(item.message for item in binding.diagnostics if item.severity is Severity.WARNING)
        if not errors:
            return binding, warnings, None
        return Binding(), warnings, outcomes.of_diagnostics(errors, self.mask, is_hidden=scope.is_hidden)


class _CommandCall(MutableStruct):
    """Calls a command once; ``output`` is what expressions read of it."""

    runner: CommandRunner
    step: CommandStep
    scope: Scope
    binding: Binding
    warnings: tuple[str, ...]
    output: object = None
    _limit: Limit | None = None
    _refused: AttemptResult | None = None
    _is_commit_reported: bool = False

    def run(self) -> AttemptResult:
        runner, step, scope = self.runner, self.step, self.scope
        call = self._executor_call()
        if runner.enqueue is not None and (queued := self._queue_request()) is not None:
            # The worker commits an atomic command together with its result.
            result = self._read(runner.enqueue(replace(call, queued=queued, on_finished=None)))
            return self._finished(result)
        if runner.isolate is not None and runner.is_isolated(step, scope):
            result = runner.isolate(call)
        else:
            if runner.isolation.judges_timeouts:
                self._limit = scope.limit.within(step.timeout_seconds, owner=call.owner)
            result = self._judge(runner.execute(call))
        return self._finished(self._after_transaction(result) if step.atomic else self._read(result))

    def _finished(self, result: AttemptResult) -> AttemptResult:
        scope = self.scope
        result = replace(result, stdout="", warnings=(*self.warnings, *result.warnings))
        if scope.is_hidden:
            failure = None if result.failure is None else outcomes.hidden(result.failure)
            result = replace(result, failure=failure, warnings=(outcomes.HIDDEN,) if result.warnings else ())
        return result

    def _queue_request(self) -> QueueRequest | None:
        """Describe a call on a worker; return None for a step that runs on this host."""
        runner, step, scope = self.runner, self.step, self.scope
        queue = scope.queue if step.queue is None else step.queue
        if not isinstance(queue, str):
            return None
        step_id = scope.id(step)
        return QueueRequest(
            queue=queue,
            step_id=step_id,
            attempt=runner.recorder.attempt_of(step_id),
            capture=step.capture,
            is_atomic=step.atomic,
            is_hidden=scope.is_hidden,
            is_repeatable=runner.is_repeatable(step, self.binding.tokens),
            open_id=runner.open_calls.pop(step_id, ""),
            lock_names=tuple(held.name for held in scope.locks),
            on_queued=lambda: runner.emitter.emit(events.StepQueued, step_id=step_id, queue=queue),
            on_claimed=lambda host, pid: runner.emitter.emit(events.StepClaimed, step_id=step_id, host=host, pid=pid),
        )

    def _executor_call(self) -> ExecutorCall:
        runner, step, scope = self.runner, self.step, self.scope
        step_id = scope.id(step)

        def write_line(stream: str, line: str) -> None:
            if not scope.is_hidden:
                runner.emitter.emit(events.StepOutputWritten, step_id=step_id, stream=stream, line=line)

        def report_progress(done_count: int, total_count: int | None, failed_count: int, /) -> None:
            runner.emitter.emit(
                events.StepProgress,
                step_id=step_id,
                done_count=done_count,
                total_count=total_count,
                failed_count=failed_count,
            )
            if scope.loop_progress is not None:
                counts = scope.loop_progress.add(step_id, Counts(done_count, total_count, failed_count))
                runner.emitter.emit(
                    events.StepProgress,
                    step_id=scope.group_ids[-1],
                    done_count=counts.done,
                    total_count=counts.total,
                    failed_count=counts.failed,
                )

        return ExecutorCall(
            command=str(step.command[0].value),
            tokens=self.binding.tokens,
            process=self.binding.process,
            keeps_stdout=step.capture is not None,
            write_line=write_line,
            report_progress=report_progress,
            halt=scope.halt,
            limit=scope.limit,
            owner=f'"{step.id}"',
            timeout_seconds=step.timeout_seconds,
            call_key=call_key(runner.run_id, step_id, number=self._number),
            on_finished=self._decide if step.atomic else None,
            atomic_alias=runner.recorder.alias if step.atomic else None,
            is_dry_run=runner.is_dry_run,
            environ=runner.environ_of(step_id),
            descriptors=(*(held.presence.descriptor for held in scope.locks), *runner.recorder.descriptors),
        )

    @property
    def _number(self) -> int:
        scope = self.scope
        # The shards of a pass have the same number, whichever of them succeeded before: the work is that of all.
        counted_id = scope.id(self.step) if scope.loop_progress is None else scope.group_ids[-1]
        return self.runner.succeeded_counts.get(counted_id, 0) + 1

    def _decide(self, result: AttemptResult) -> Commit | RollBack:
        """Decide whether an atomic command commits: not if its output cannot be read."""
        read = self._judge(self._read(result))
        if read.status is not StepStatus.SUCCEEDED:
            self._refused = read
            return RollBack()
        try:
            write = self.runner.recorder.success_write(self.scope.id(self.step))
        except RunbookError as error:
            self.runner.emitter.note_error(error)
            self._refused = outcomes.failed(outcomes.of_error(error)).result
            return RollBack()
        self._is_commit_reported = True
        return Commit(write=write)

    def _judge(self, result: AttemptResult) -> AttemptResult:
        """Fail what took too long in this process, where nothing could end it."""
        limit = self._limit
        if limit is None or limit.first is None or not limit.is_over or self._is_commit_reported:
            return result
        return replace(result, status=StepStatus.TIMED_OUT, failure=limit.first.failure())

    def _after_transaction(self, result: AttemptResult) -> AttemptResult:
        recorder, step_id = self.runner.recorder, self.scope.id(self.step)
        if self._refused is not None and result.status is StepStatus.SUCCEEDED:
            return self._refused
        if not self._is_commit_reported:
            return result
        if result.status is StepStatus.SUCCEEDED:
            recorder.confirm_commit(step_id)
            return result
        if result.failure is not None and result.failure.error_type == JournalLost.__name__:
            self.runner.emitter.note_error(JournalLost(result.failure.message.removeprefix(JournalLost.PREFIX)))
        # An error at the commit, or the end of the process, does not say whether it happened; the row does.
        elif self._was_committed():
            recorder.confirm_commit(step_id)
            unknown = RowAccount(unknown="the end of its process was not reported")
            return AttemptResult(status=StepStatus.SUCCEEDED, warnings=result.warnings, row_account=unknown)
        self.output = None
        return result

    def _was_committed(self) -> bool:
        try:
            return self.runner.recorder.is_committed(self.scope.id(self.step))
        except RunbookError as error:
            self.runner.emitter.note_error(error)
            return False

    def _read(self, result: AttemptResult) -> AttemptResult:
        """Take the output that ``capture`` asks for."""
        capture = self.step.capture
        if capture is None or result.status is not StepStatus.SUCCEEDED:
            return result
        try:
            self.output = read_output(result.stdout, capture)
        except (ValueError, RecursionError) as error:
            is_deep = isinstance(error, RecursionError)
            why = f"is nested more than {MAX_DEPTH} levels deep" if is_deep else f"is not JSON: {error}"
            failure = Failure(
                error_type=type(error).__name__,
                message=clean_text(f"capture: {capture}: the output {why}", self.runner.mask),
                exit_code=1,
                error_names=names_of(type(error)),
            )
            return replace(result, status=StepStatus.FAILED, failure=failure)
        recorder, step_id = self.runner.recorder, self.scope.id(self.step)
        if self.scope.is_hidden:
            recorder.withhold_output(step_id)
        else:
            recorder.keep_output(step_id, self.output)
        return result


def call_key(run_id: str, step_id: str, *, number: int) -> str:
    """Return the name by which a batch command knows its call, so that it is not done again after the run died.

    ``number`` is 1 until the command has succeeded, or all of its shards: in a group that is retried, or where
    ``until`` is not true yet, it is called for another time.
    """
    if len(step_id) >= MAX_KEY:
        # The shards of a loop are recognized by the numbers of their items.
        key, bracket, items = step_id.partition("[")
        step_id = hashlib.sha256(key.encode()).hexdigest() + bracket + items
    key = f"{run_id}:{step_id}"
    return key if number == 1 else f"{key}:{number}"
