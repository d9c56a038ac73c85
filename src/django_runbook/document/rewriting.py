"""Rewrites the command steps of a Runbook, also those in groups, handlers and called runbooks."""

from __future__ import annotations

from collections.abc import Callable

from django_runbook.document.runbook import Block, CommandStep, GroupStep, Runbook, Step
from django_runbook.structs import replace

Change = Callable[[str, CommandStep], CommandStep]


def rewrite_commands(runbook: Runbook, change: Change) -> Runbook:
    """Return the runbook with ``change(key, step)`` in place of each command step."""
    return replace(runbook, block=_block(runbook.block, change, prefix=""))


def _block(block: Block, change: Change, *, prefix: str) -> Block:
    def each(steps: tuple[Step, ...]) -> tuple[Step, ...]:
        return tuple(_step(step, change, prefix=prefix) for step in steps)

    return replace(
        block,
        steps=each(block.steps),
        on_success=each(block.on_success),
        on_failure=each(block.on_failure),
        finally_=each(block.finally_),
    )


def _step(step: Step, change: Change, *, prefix: str) -> Step:
    match step:
        case CommandStep():
            return change(prefix + step.id, step)
        case GroupStep():
            return replace(step, block=_block(step.block, change, prefix=prefix))
    block = _block(step.runbook.block, change, prefix=f"{prefix}{step.id}/")
    return replace(step, runbook=replace(step.runbook, block=block))
