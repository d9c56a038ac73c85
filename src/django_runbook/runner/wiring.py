"""Puts the parts of the runner together for one run."""

from __future__ import annotations

from django_runbook.document.read_outputs import steps_read
from django_runbook.document.runbook import Step
from django_runbook.planning.plan import Plan
from django_runbook.results import StepResult
from django_runbook.runner.blocks import BlockRunner
from django_runbook.runner.commands import CommandRunner
from django_runbook.runner.context import RunContext, RunOptions
from django_runbook.runner.emitter import Emitter
from django_runbook.runner.execution import StepExecutor
from django_runbook.runner.finishing import StepFinisher
from django_runbook.runner.locking import Locker
from django_runbook.runner.loops import LoopRunner
from django_runbook.runner.members import MemberRunner
from django_runbook.runner.questions import Questions
from django_runbook.runner.retries import Retries
from django_runbook.runner.step_scope import Scope
from django_runbook.runner.steps import StepRunner
from django_runbook.structs import Struct


class _Parts(Struct):
    """Holds the parts that several runners of one run share."""

    emitter: Emitter
    finisher: StepFinisher
    locker: Locker
    members: MemberRunner
    succeeded_counts: dict[str, int]


def new_block_runner(plan: Plan, options: RunOptions, context: RunContext, emitter: Emitter) -> BlockRunner:
    """Return the runner of a plan's blocks. Blocks run steps, and steps run blocks: the circle is closed here."""
    emitter.has_failed_handler = options.past.has_failed_handler
    parts = _new_parts(options, context, emitter)

    def run_step(step: Step, scope: Scope) -> StepResult:
        return steps.run(step, scope)

    def run_item(step: Step, item: object, scope: Scope) -> StepResult:
        return steps.run_item(step, item, scope)

    blocks = BlockRunner(
        run_step=run_step,
        members=parts.members,
        finisher=parts.finisher,
        locker=parts.locker,
        emitter=emitter,
        stop=context.stop,
        keeps_going=options.keeps_going,
        failure_at_end=context.failure_at_end,
    )
    loops = LoopRunner(
        run_item=run_item,
        members=parts.members,
        finisher=parts.finisher,
        emitter=emitter,
        recorder=context.recorder,
        mask=context.mask,
        succeeded_counts=parts.succeeded_counts,
    )
    steps = StepRunner(
        options=options,
        executor=_new_step_executor(plan, options, context, parts, blocks),
        loops=loops,
        finisher=parts.finisher,
        locker=parts.locker,
        questions=Questions(context.ask, emitter=emitter, stop=context.stop, mask=context.mask),
        emitter=emitter,
        mask=context.mask,
    )
    return blocks


def _new_parts(options: RunOptions, context: RunContext, emitter: Emitter) -> _Parts:
    finisher = StepFinisher(past=options.past, emitter=emitter, mask=context.mask)
    return _Parts(
        emitter=emitter,
        finisher=finisher,
        locker=Locker(
            new_lock=context.new_lock,
            finisher=finisher,
            emitter=emitter,
            mask=context.mask,
            namespace=context.namespace,
            find_call=context.find_call,
            is_dry_run=options.is_dry_run,
        ),
        members=MemberRunner(
            emitter=emitter,
            finisher=finisher,
            isolation=context.isolation,
            grace_seconds=context.stop.timeout_seconds,
        ),
        succeeded_counts=dict(options.past.succeeded_counts),
    )


def _new_step_executor(
    plan: Plan, options: RunOptions, context: RunContext, parts: _Parts, blocks: BlockRunner
) -> StepExecutor:
    return StepExecutor(
        planned=plan.steps,
        commands=_new_command_runner(plan, options, context, parts),
        blocks=blocks,
        retries=Retries(
            emitter=parts.emitter, mask=context.mask, rng=context.rng, has_delays=context.waits_for_retries
        ),
        locker=parts.locker,
        emitter=parts.emitter,
        mask=context.mask,
        grace_seconds=context.stop.timeout_seconds,
        is_output_read=steps_read(plan.outline),
    )


def _new_command_runner(plan: Plan, options: RunOptions, context: RunContext, parts: _Parts) -> CommandRunner:
    return CommandRunner(
        planned=plan.steps,
        binder=context.binder,
        execute=context.execute,
        isolate=context.isolate,
        enqueue=context.enqueue,
        is_repeatable=context.is_repeatable,
        open_calls=dict(options.past.open_calls),
        isolation=context.isolation,
        recorder=context.recorder,
        run_id=str(plan.inputs.run.get("id", "")),
        succeeded_counts=parts.succeeded_counts,
        environ_of=context.environ_of,
        emitter=parts.emitter,
        mask=context.mask,
        is_dry_run=options.is_dry_run,
    )
