"""Puts the parts of the runner together for one run."""

from __future__ import annotations

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


def new_block_runner(plan: Plan, options: RunOptions, context: RunContext, emitter: Emitter) -> BlockRunner:
    """Return the runner of a plan's blocks. Blocks run steps, and steps run blocks: the two close the circle here."""
    mask, stop = context.mask, context.stop
    emitter.has_failed_handler = options.past.has_failed_handler
    finisher = StepFinisher(past=options.past, emitter=emitter, mask=mask)
    locker = Locker(
        new_lock=context.new_lock,
        finisher=finisher,
        emitter=emitter,
        mask=mask,
        namespace=context.namespace,
        is_dry_run=options.is_dry_run,
    )
    members = MemberRunner(
        emitter=emitter, finisher=finisher, isolation=context.isolation, grace_seconds=stop.timeout_seconds
    )

    def run_step(step: Step, scope: Scope) -> StepResult:
        return steps.run(step, scope)

    def run_item(step: Step, item: object, scope: Scope) -> StepResult:
        return steps.run_item(step, item, scope)

    blocks = BlockRunner(
        run_step=run_step,
        members=members,
        finisher=finisher,
        locker=locker,
        emitter=emitter,
        stop=stop,
        keeps_going=options.keeps_going,
    )
    steps = StepRunner(
        options=options,
        executor=StepExecutor(
            planned=plan.steps,
            commands=_new_command_runner(plan, options, context, emitter),
            blocks=blocks,
            retries=Retries(emitter=emitter, mask=mask, rng=context.rng),
            locker=locker,
            emitter=emitter,
            mask=mask,
            grace_seconds=stop.timeout_seconds,
        ),
        loops=LoopRunner(
            run_item=run_item,
            members=members,
            finisher=finisher,
            emitter=emitter,
            recorder=context.recorder,
            mask=mask,
        ),
        finisher=finisher,
        locker=locker,
        questions=Questions(context.ask, emitter=emitter, stop=stop, mask=mask),
        emitter=emitter,
        mask=mask,
    )
    return blocks


def _new_command_runner(plan: Plan, options: RunOptions, context: RunContext, emitter: Emitter) -> CommandRunner:
    return CommandRunner(
        planned=plan.steps,
        binder=context.binder,
        execute=context.execute,
        isolate=context.isolate,
        isolation=context.isolation,
        recorder=context.recorder,
        run_id=str(plan.inputs.run.get("id", "")),
        succeeded_counts=dict(options.past.succeeded_counts),
        emitter=emitter,
        mask=context.mask,
    )
