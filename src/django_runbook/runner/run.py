"""Runs a plan: emits its events and returns its result."""

from __future__ import annotations

import time
from collections.abc import Iterator

from django_runbook import events
from django_runbook.document.runbook import CommandStep
from django_runbook.exceptions import JournalLost, LockLost, RunbookError
from django_runbook.planning.plan import Plan
from django_runbook.planning.planned_step import PlannedStep
from django_runbook.process.failures import failure_of
from django_runbook.process.streams import clean_text
from django_runbook.results import AttemptResult, ExitCode, Role, RunResult, RunStatus, StepStatus
from django_runbook.runner import continuing
from django_runbook.runner.blocks import BlockRunner
from django_runbook.runner.context import RunContext, RunOptions
from django_runbook.runner.emitter import Emitter
from django_runbook.runner.step_scope import Scope
from django_runbook.runner.verdict import exit_code_of, failure_of_run, status_of
from django_runbook.runner.wiring import new_block_runner
from django_runbook.structs import replace


def run(plan: Plan, options: RunOptions, context: RunContext) -> RunResult:
    """Run a plan that has no errors; every event goes to ``context.emit``.

    Raises RunbookError if the run cannot be recorded, and any exception that is a bug outside of all steps.
    """
    started = time.monotonic()
    emitter = Emitter(context.emit, context.clock, context.recorder, stopwatch=context.stopwatch)
    _emit_start(plan, options, context, emitter)
    if not isinstance(emitter.error, LockLost):
        emitter.raise_error()
    outcome, bug = _run_blocks(plan, context, new_block_runner(plan, options, context, emitter))
    result = _result_of(outcome, options, context, emitter, duration_seconds=time.monotonic() - started)
    error = emitter.error
    result = _with_advice(_with_report_warnings(result, options, context), plan, options, emitter, error)
    context.stop.wait_for_reports()
    if context.stopwatch is not None:
        result = replace(result, timings=context.stopwatch.timings(result.steps))
    emitter.emit(events.RunFinished, result=result)
    emitter.wait()
    if bug is not None:
        raise bug
    if error is None:
        emitter.raise_error()
    return result


def _emit_start(plan: Plan, options: RunOptions, context: RunContext, emitter: Emitter) -> None:
    emitter.emit(
        events.RunStarted,
        run_id=str(plan.inputs.run.get("id", "")),
        name=plan.runbook.name,
        file=plan.runbook.path,
        step_count=sum(1 for _ in _selected_commands(plan, options)),
        dry_run=options.is_dry_run,
        inline_reason=context.isolation.reason,
        attempt=options.attempt,
        done_count=continuing.done_count(options.past),
    )
    emitter.wait()


def _selected_commands(plan: Plan, options: RunOptions) -> Iterator[PlannedStep]:
    for planned in plan.steps.values():
        is_selected = planned.role is Role.STEP and planned.key not in options.unselected
        if is_selected and isinstance(planned.step, CommandStep) and not planned.is_loop:
            yield planned


def _run_blocks(plan: Plan, context: RunContext, blocks: BlockRunner) -> tuple[AttemptResult, Exception | None]:
    """Run the runbook; an exception outside of all steps is a bug, which is raised once the run is closed."""
    runbook = plan.runbook
    scope = Scope(inputs=plan.inputs, run_names=plan.inputs.run, halt=context.stop, file=runbook.path)
    try:
        return blocks.run_runbook(runbook, scope, owner="the run"), None
    except Exception as error:  # noqa: BLE001 - it is raised once the run is closed
        failure = failure_of(error, context.mask, exit_code=ExitCode.INTERNAL_ERROR)
        reason = f"internal error: {failure.error_type}: {failure.message}"
        return AttemptResult(status=StepStatus.FAILED, failure=failure, reason=reason), error


def _result_of(
    outcome: AttemptResult, options: RunOptions, context: RunContext, emitter: Emitter, *, duration_seconds: float
) -> RunResult:
    status, error = status_of(outcome, emitter, context.stop, past=options.past), emitter.error
    exit_code = exit_code_of(outcome, status, context.stop, is_strict=options.is_strict)
    return RunResult(
        status=RunStatus.FAILED if error is not None else status,
        exit_code=error.exit_code if error is not None else exit_code,
        steps=tuple(emitter.results.values()),
        duration_seconds=duration_seconds,
        failure=failure_of_run(outcome, status, emitter),
        reason=str(error) if error is not None else outcome.reason,
    )


def _with_report_warnings(result: RunResult, options: RunOptions, context: RunContext) -> RunResult:
    """Write the reports that are files; each that cannot be written is a warning of the run."""
    found = context.write_files(events.RunFinished(at=context.clock(), result=result))
    if not found:
        return result
    warnings = tuple(clean_text(text, context.mask) for text in found)
    if result.status is not RunStatus.SUCCEEDED:
        return replace(result, warnings=warnings)
    exit_code = ExitCode.FAILED if options.is_strict else result.exit_code
    return replace(result, status=RunStatus.WARNING, exit_code=exit_code, warnings=warnings)


def _with_advice(
    result: RunResult, plan: Plan, options: RunOptions, emitter: Emitter, error: RunbookError | None
) -> RunResult:
    """Add how the run can be continued."""
    is_lost = isinstance(error, JournalLost)
    is_recorded = is_lost or emitter.is_recorded()
    return continuing.advise(
        replace(result, run_id=str(plan.inputs.run.get("id", ""))),
        past=options.past,
        is_dry_run=options.is_dry_run,
        resume_command=options.resume_command if is_recorded else "",
        is_record_whole=is_recorded and not is_lost,
    )
