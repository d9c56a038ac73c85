"""A Runbook to the Diagnostics of its names: each expression is checked against what is known at its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from django_runbook.document.diagnostics import Diagnostic
from django_runbook.document.expressions import Expression, Template
from django_runbook.document.names import HANDLER_RUN_NAMES, Scope, check, check_condition
from django_runbook.document.runbook import Block, CommandStep, GroupStep, Located, Runbook, Step

_ROOTS_OF_PARAMS = ("today", "now", "run")
_ROOTS_OF_VARS = ("params", "vars", "secrets", "today", "now", "run")
_ROOTS_OF_STEPS = (*_ROOTS_OF_VARS, "steps")


def check_names(runbook: Runbook, *, left_out: str = "") -> Iterator[Diagnostic]:
    """What the expressions of a file name that is not there."""
    for param in runbook.params:
        if param.default is not None:
            yield from _check_value(param.default, Scope(roots=_ROOTS_OF_PARAMS))
    scope = Scope(
        roots=_ROOTS_OF_VARS,
        params={param.name: param.type for param in runbook.params},
        secrets=runbook.secrets,
        left_out=left_out,
    )
    known: list[str] = []
    for name, value in runbook.vars.items():
        yield from _check_value(value, replace(scope, vars=tuple(known)))
        known.append(name)
    walk = _Walk(replace(scope, roots=_ROOTS_OF_STEPS, vars=tuple(known)), later=set(_ids(runbook.block)))
    yield from walk.block(runbook.block)


@dataclass(slots=True)
class _Walk:
    """Goes through the steps in the order of the file; ``before`` grows as they are passed."""

    scope: Scope
    later: set[str]
    before: dict[str, bool] = field(default_factory=dict)

    def block(self, block: Block) -> Iterator[Diagnostic]:
        yield from self.steps(block.steps)
        outer = self.scope
        self.scope = replace(outer, run_names=HANDLER_RUN_NAMES)
        for handlers in (block.on_success, block.on_failure, block.finally_):
            yield from self.steps(handlers)
        self.scope = outer

    def steps(self, steps: tuple[Step, ...]) -> Iterator[Diagnostic]:
        for step in steps:
            yield from self.step(step)
            self.later.discard(step.id)
            captures = isinstance(step, CommandStep) and step.capture is not None
            self.before[step.id] = captures

    def step(self, step: Step) -> Iterator[Diagnostic]:
        if isinstance(step, CommandStep) and _is_without_expressions(step):
            return
        scope = replace(self.scope, steps=self.before, later_steps=self.later)
        if step.when is not None:
            yield from check_condition(step.when, scope)
        for text in (step.name, step.confirm or ""):
            yield from check(text, scope)
        if step.retry is not None and step.retry.until is not None:
            captures = isinstance(step, CommandStep) and step.capture is not None
            own = replace(scope, steps={**self.before, step.id: captures})
            yield from check_condition(step.retry.until, own)
        if isinstance(step, GroupStep):
            yield from self.block(step.block)
            return
        for value in (*step.command, *step.args, *(option.value for option in step.options)):
            yield from _check_value(value, scope)


def _is_without_expressions(step: CommandStep) -> bool:
    return (
        step.when is None
        and not step.args
        and not step.options
        and isinstance(step.name, str)
        and step.confirm is None
        and step.retry is None
        and all(isinstance(token.value, str) for token in step.command)
    )


def _check_value(located: Located, scope: Scope) -> Iterator[Diagnostic]:
    value = located.value
    if isinstance(value, Template | Expression):
        yield from check(value, scope)
    elif isinstance(value, tuple):
        for item in value:
            yield from _check_value(item, scope)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _check_value(item, scope)


def _ids(block: Block) -> Iterator[str]:
    for steps in (block.steps, block.on_success, block.on_failure, block.finally_):
        for step in steps:
            yield step.id
            if isinstance(step, GroupStep):
                yield from _ids(step.block)
