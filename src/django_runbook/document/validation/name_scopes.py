"""Walks through a Runbook and finds each expression with the names in scope at its place."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple, TypeAlias

from django_runbook.document.diagnostics import Diagnostic
from django_runbook.document.expressions import Expression, Template
from django_runbook.document.outline import lists_of
from django_runbook.document.runbook import Block, CallStep, CommandStep, GroupStep, Located, Step
from django_runbook.document.validation.reading import FileContent
from django_runbook.document.validation.reference_checks import (
    HANDLER_RUN_NAMES,
    NameScope,
    StepFacts,
    check,
    check_argument,
    check_condition,
    check_text,
)
from django_runbook.document.validation.rejected_names import rejected_names
from django_runbook.results import Role
from django_runbook.structs import MutableStruct, field, replace

_ROOTS_OF_PARAMS = ("env", "today", "now", "run")
_ROOTS_OF_VARS = ("params", "vars", "env", "secrets", "today", "now", "run")
_ROOTS_OF_STEPS = (*_ROOTS_OF_VARS, "steps")


Value: TypeAlias = str | Template | Expression


class ScopedValue(NamedTuple):
    """Holds a value with the names in scope at its place, and the function that checks it against them.

    The scope of a step changes during the walk: read it before the next value.
    """

    value: Value
    scope: NameScope
    check: Callable[..., Iterator[Diagnostic]]


def check_names(file: FileContent) -> Iterator[Diagnostic]:
    """Check every name in the expressions of a file."""
    for value, scope, check_value in scoped_values(file):
        yield from check_value(value, scope)


def scoped_values(file: FileContent) -> Iterator[ScopedValue]:
    """Yield every string and every condition that may refer to a name, in the order in which a run reads them."""
    runbook, scope = file.runbook, _scope_of(file)
    for param in runbook.params:
        if param.default is not None:
            yield from _values_in(param.default, replace(scope, roots=_ROOTS_OF_PARAMS))
    names = list(runbook.vars)
    for index, value in enumerate(runbook.vars.values()):
        # Each can refer to the vars before it.
        yield from _values_in(value, replace(scope, vars=tuple(names[:index])))
    if runbook.lock is not None:
        yield ScopedValue(runbook.lock.name, scope, check_text)
    walk = _Walk(replace(scope, roots=_ROOTS_OF_STEPS), later=set(_ids(runbook.block)))
    yield from walk.block(runbook.block)


def _scope_of(file: FileContent) -> NameScope:
    runbook = file.runbook
    declared: dict[str, Collection[str]] = {
        "params": [param.name for param in runbook.params],
        "vars": runbook.vars,
        "env": [variable.name for variable in runbook.env],
        "secrets": runbook.secrets,
    }
    return NameScope(
        roots=_ROOTS_OF_VARS,
        params={param.name: param.type for param in runbook.params},
        vars=tuple(runbook.vars),
        env=tuple(declared["env"]),
        secrets=runbook.secrets,
        rejected={
            key: rejected_names(file.keys[key][1], {*names}) for key, names in declared.items() if key in file.keys
        },
        removed_text=file.removed_text,
    )


class _Walk(MutableStruct, kw_only=False):
    """Walks through the steps in the order of the file; ``before`` holds the steps already passed."""

    scope: NameScope
    later: set[str]
    before: dict[str, StepFacts] = field(default_factory=dict)
    hidden: dict[str, tuple[str, str]] = field(default_factory=dict)

    def block(self, block: Block) -> Iterator[ScopedValue]:
        yield from self.branches(block.steps) if block.is_parallel else self.steps(block.steps)
        outer = self.scope
        for handlers, names in (
            # Without a failure there is no failed step.
            (block.on_success, dict.fromkeys((*outer.run_names, "status"))),
            (block.on_failure, HANDLER_RUN_NAMES),
            (block.finally_, HANDLER_RUN_NAMES),
        ):
            self.scope = replace(outer, run_names=tuple(names))
            yield from self.steps(handlers)
        self.scope = outer

    def branches(self, steps: tuple[Step, ...]) -> Iterator[ScopedValue]:
        """Walk through the branches of a parallel group: each sees the steps before the group, and its own."""
        before, hidden, later = dict(self.before), self.hidden, set(self.later)
        after: dict[str, StepFacts] = {}
        hidden_after: dict[str, tuple[str, str]] = {}
        of_branch = {step.id: tuple(_ids_of(step)) for step in steps}
        for step in steps:
            self.before, self.later = dict(before), set(later)
            self.hidden = hidden | {
                other: (f'step "{other}" runs at the same time', "name it in a step that follows the parallel group")
                for branch, ids in of_branch.items()
                if branch != step.id
                for other in ids
            }
            own_hidden = dict(self.hidden)
            yield from self.steps((step,))
            after |= self.before
            hidden_after |= {name: why for name, why in self.hidden.items() if name not in own_hidden}
        self.before, self.hidden = before | after, hidden | hidden_after
        self.later = later - {step_id for ids in of_branch.values() for step_id in ids}

    def steps(self, steps: tuple[Step, ...]) -> Iterator[ScopedValue]:
        for step in steps:
            yield from self.step(step)
            self.later.discard(step.id)
            self.before[step.id] = _facts(step, is_loop=step.is_loop)

    def step(self, step: Step) -> Iterator[ScopedValue]:
        if isinstance(step, CommandStep) and _is_without_expressions(step):
            return
        if step.when is not None:
            yield ScopedValue(step.when, self._here(), check_condition)
        yield ScopedValue(step.confirm or "", self._here(), check_text)
        if step.for_each is None:
            yield from self.once(step)
            return
        yield from _values_in(step.for_each, self._here())
        outer, before = self.scope, set(self.before)
        self.scope = replace(
            outer,
            roots=tuple(dict.fromkeys((*outer.roots, "item"))),
            item_names=tuple(step.for_each.value) if isinstance(step.for_each.value, dict) else None,
        )
        yield from self.once(step)
        self.scope = outer
        for name in self.before.keys() - before:
            del self.before[name]
            message = f'step "{name}" runs once for each item of "{step.id}"'
            self.hidden[name] = (message, f'outside of the loop there is only "steps.{step.id}" with its results')

    def once(self, step: Step) -> Iterator[ScopedValue]:
        scope = self._here()
        for text in (step.name, step.lock.name if step.lock is not None else ""):
            yield ScopedValue(text, scope, check_text)
        match step:
            case GroupStep():
                yield from self.block(step.block)
            case CallStep():
                for param in step.params:
                    yield from _values_in(param.value, scope)
            case CommandStep():
                for word in step.command:
                    yield from _values_in(word, scope, check_value=check_text)
                for value in (*step.args, *(option.value for option in (*step.options, *step.env))):
                    yield from _values_in(value, scope, check_value=check_argument)
                yield ScopedValue(step.stdin or "", scope, check_text)
        if step.retry is not None and step.retry.until is not None:
            # Evaluated after each attempt, when the steps of a group have run.
            own = {**self.before, step.id: replace(_facts(step, is_loop=False), is_own=True)}
            yield ScopedValue(step.retry.until, replace(self._here(), steps=own), check_condition)

    def _here(self) -> NameScope:
        return replace(self.scope, steps=self.before, hidden=self.hidden, later_steps=self.later)


def _facts(step: Step, *, is_loop: bool) -> StepFacts:
    return StepFacts(captures=isinstance(step, CommandStep) and step.capture is not None, is_loop=is_loop)


def _is_without_expressions(step: CommandStep) -> bool:
    return (
        step.when is None
        and step.for_each is None
        and step.lock is None
        and not step.args
        and not step.options
        and step.stdin is None
        and not step.env
        and isinstance(step.name, str)
        and step.confirm is None
        and step.retry is None
        and all(isinstance(token.value, str) for token in step.command)
    )


def _values_in(
    located: Located, scope: NameScope, *, check_value: Callable[..., Iterator[Diagnostic]] | None = None
) -> Iterator[ScopedValue]:
    value = located.value
    if isinstance(value, Template):
        # An expression that is the whole value keeps its type.
        default = check if value.whole is not None else check_text
        yield ScopedValue(value, scope, check_value or default)
    elif isinstance(value, Expression):
        yield ScopedValue(value, scope, check)
    elif isinstance(value, tuple | dict):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _values_in(item, scope, check_value=check_value)


def _ids(block: Block) -> Iterator[str]:
    for _, steps in lists_of(block, Role.STEP):
        for step in steps:
            yield from _ids_of(step)


def _ids_of(step: Step) -> Iterator[str]:
    yield step.id
    if isinstance(step, GroupStep):
        yield from _ids(step.block)
