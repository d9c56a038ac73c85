"""Plans a Runbook with its inputs: binds every step, and checks it as far as possible before the run."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Any, Final

from django_runbook.binding.binder import Binder
from django_runbook.document.diagnostics import Diagnostic, diagnose, has_errors, in_order
from django_runbook.document.expressions import Expression, ExpressionError, Template, evaluate_condition
from django_runbook.document.inputs import Inputs, resolve_call
from django_runbook.document.loops import items_of
from django_runbook.document.outline import Entry, lists_of, outline
from django_runbook.document.runbook import Block, CallStep, CommandStep, GroupStep, Located, Runbook, Step
from django_runbook.planning.planned_step import PlannedStep, instance_id
from django_runbook.planning.rules import RULES, BoundStep
from django_runbook.results import Role
from django_runbook.structs import MutableStruct, Struct, field, replace

MAX_STEPS = 10_000
# The codes that are reported for a step that is known to be skipped: they concern names, not values.
_ABOUT_NAMES: Final = frozenset(
    ("RB215", "RB401", "RB403", "RB405", "RB406", "RB407", "RB409", "RB411", "RB415", "RB417", "RB420")
)


class Plan(Struct):
    """Holds all planned steps in the order of the file; ``outline`` holds each step of the file once."""

    runbook: Runbook
    inputs: Inputs
    steps: Mapping[str, PlannedStep]
    outline: Mapping[str, Entry]
    diagnostics: tuple[Diagnostic, ...] = ()

    @property
    def commands(self) -> tuple[str, ...]:
        """Return the names of all commands of the file, each once."""
        steps = (entry.step for entry in self.outline.values())
        return tuple(dict.fromkeys(str(step.command[0].value) for step in steps if isinstance(step, CommandStep)))


def plan(runbook: Runbook, inputs: Inputs, binder: Binder) -> Plan:
    """Bind every step of a runbook, and collect all diagnostics."""
    planner = _Planner(binder=binder, diagnostics=list(inputs.diagnostics))
    try:
        planner.block(runbook.block, _StepPosition(inputs=inputs))
    except _TooManyStepsError as error:
        planner.diagnostics.append(error.diagnostic)
    return Plan(
        runbook=runbook,
        inputs=inputs,
        steps=planner.steps,
        outline=outline(runbook),
        diagnostics=tuple(in_order(planner.diagnostics)),
    )


class _TooManyStepsError(Exception):
    def __init__(self, diagnostic: Diagnostic) -> None:
        super().__init__(diagnostic.message)
        self.diagnostic = diagnostic


class _Skip(enum.Enum):
    """Indicates whether a condition of a step, or around it, is known to skip the step.

    A condition that depends on the time can be true on another day, so the names in the step are still checked.
    """

    NO = "no"
    TODAY = "today"
    ALWAYS = "always"


class _StepPosition(Struct):
    """Locates a step: its file, list and groups, and the items of the loops around it."""

    inputs: Inputs
    path: str = ""
    role: Role = Role.STEP
    prefix: str = ""
    indexes: tuple[int | str, ...] = ()
    group_ids: tuple[str, ...] = ()
    skip: _Skip = _Skip.NO

    def inside(self, group_id: str, **changes: Any) -> _StepPosition:
        return replace(self, group_ids=(*self.group_ids, group_id), **changes)


class _Planner(MutableStruct):
    binder: Binder
    diagnostics: list[Diagnostic]
    steps: dict[str, PlannedStep] = field(default_factory=dict)

    def block(self, block: Block, place: _StepPosition) -> None:
        for role, steps in lists_of(block, place.role):
            for step in steps:
                self._step(step, place if role is place.role else replace(place, role=role))

    def _step(self, step: Step, place: _StepPosition) -> None:
        place = replace(place, skip=self._skip(step, place))
        if step.for_each is None:
            self._once(step, place)
            return
        items = self._items(step.for_each, place)
        loop_id = self._add(step, place, is_loop=True, item_count=None if items is None else len(items))
        if items is None:
            unknown = place.inputs.without_item()
            self._once(step, place.inside(loop_id, inputs=unknown, indexes=(*place.indexes, "?")))
        for number, item in enumerate(items or (), start=1):
            inputs = place.inputs.with_item(item)
            self._once(step, place.inside(loop_id, inputs=inputs, indexes=(*place.indexes, number)))

    def _skip(self, step: Step, place: _StepPosition) -> _Skip:
        """Decide whether the step is known to be skipped, before its loop has items."""
        if step.when is None or place.skip is not _Skip.NO or not place.inputs.is_static(step.when):
            return place.skip
        try:
            if evaluate_condition(step.when, place.inputs.context()):
                return _Skip.NO
        except ExpressionError as error:
            self._report_error(error, place)
            return _Skip.NO
        return _Skip.TODAY if place.inputs.is_timed(step.when) else _Skip.ALWAYS

    def _items(self, for_each: Located, place: _StepPosition) -> tuple[object, ...] | None:
        if not place.inputs.is_static(for_each):
            return None
        try:
            return items_of(for_each, place.inputs.context())
        except ExpressionError as error:
            if place.skip is _Skip.NO:
                self._report_error(error, place)
            return None

    def _once(self, step: Step, place: _StepPosition) -> None:
        match step:
            case CommandStep():
                binding = self.binder.bind(step, inputs=place.inputs)
                is_judged = place.skip is _Skip.NO or not has_errors(binding.diagnostics)
                if not is_judged:
                    binding = self.binder.bind(step, inputs=place.inputs.without_values())
                self._report(binding.diagnostics, place)
                is_final = is_judged and binding.is_checked and _is_static(step, place.inputs)
                self._add(step, place, binding=binding, is_final=is_final)
            case GroupStep():
                self.block(step.block, place.inside(self._add(step, place)))
            case CallStep():
                self._call(step, place)

    def _call(self, step: CallStep, place: _StepPosition) -> None:
        known = place.inputs
        try:
            inputs = resolve_call(step, known)
            is_judged = place.skip is _Skip.NO or not has_errors(inputs.diagnostics)
        except ExpressionError as error:
            if place.skip is _Skip.NO:
                self._report_error(error, place)
                self._add(step, place, is_final=False)
                return
            is_judged = False
        if not is_judged:
            known = known.without_values()
            inputs = resolve_call(step, known)
        self._report(inputs.diagnostics, place)
        call_id = self._add(step, place, inputs=inputs, is_final=_is_call_static(step, known))
        inner = place.inside(
            call_id,
            inputs=inputs,
            prefix=f"{place.prefix}{step.id}/",
            path=step.runbook.path,
        )
        self.block(step.runbook.block, inner)

    def _add(self, step: Step, place: _StepPosition, **known: Any) -> str:
        key = place.prefix + step.id
        step_id = instance_id(key, place.indexes)
        if len(self.steps) >= MAX_STEPS:
            message = f"the loops expand to more than {MAX_STEPS} steps"
            diagnostic = diagnose("RB418", message=message, span=step.span, path=place.path)
            raise _TooManyStepsError(diagnostic)
        # A loop and its items share a key; the ids of the items have one more index.
        planned = PlannedStep(
            id=step_id,
            key=key,
            step=step,
            role=place.role,
            group_ids=place.group_ids,
            is_skipped=place.skip is not _Skip.NO,
            **known,
        )
        self.steps[step_id] = planned
        for rule in RULES:
            self._report(rule(BoundStep(planned=planned, binder=self.binder)), place)
        return step_id

    def _report(self, found: Iterable[Diagnostic], place: _StepPosition) -> None:
        judged = (item for item in found if place.skip is not _Skip.ALWAYS or item.code in _ABOUT_NAMES)
        self.diagnostics += (item if item.path else replace(item, path=place.path) for item in judged)

    def _report_error(self, error: ExpressionError, place: _StepPosition) -> None:
        self._report((diagnose("RB320", message=error.message, span=error.span),), place)


def _is_call_static(step: CallStep, inputs: Inputs) -> bool:
    return all(inputs.is_static(option.value) for option in step.params)


def _is_static(step: CommandStep, inputs: Inputs) -> bool:
    values: list[Located | Expression] = [
        *step.command,
        *step.args,
        *(option.value for option in (*step.options, *step.env)),
    ]
    if isinstance(step.stdin, Template):
        values += step.stdin.expressions
    return all(map(inputs.is_static, values))
