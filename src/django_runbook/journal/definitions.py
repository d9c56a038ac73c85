"""A step of a Plan to a text that changes where the step means something else."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from django_runbook.document.expressions import Expression, Template
from django_runbook.document.runbook import Block, CallStep, Located, Option, Step
from django_runbook.planning.plan import Plan
from django_runbook.process.masking import Mask

# How a step is called and described, and what stands in a group: those steps have definitions of their own.
_LEFT_OUT = frozenset(
    ("id", "name", "description", "tags", "span", "error_spans", "runbook", "steps", *Block.__annotations__)
) - {
    "is_parallel",
    "fail_fast",
    "max_parallel",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Definition:
    """The text, for a person to compare, and its digest."""

    text: str = ""
    digest: str = ""


@dataclass(frozen=True, kw_only=True)
class Definitions:
    """The definitions of all steps of a plan, each made when it is asked for."""

    plan: Plan
    mask: Mask
    _made: dict[str, Definition] = field(default_factory=dict)

    def of(self, step_id: str) -> Definition:
        """The definition of a step, the same for all items of a loop; an empty one where there is no such step."""
        key = key_of(step_id)
        if key not in self._made:
            entry = self.plan.outline.get(key)
            lines = () if entry is None else _lines(entry.step, self._values_around[key.rpartition("/")[0]])
            text = self.mask("\n".join(lines))
            self._made[key] = Definition(text=text, digest=hashlib.sha256(text.encode()).hexdigest() if text else "")
        return self._made[key]

    @cached_property
    def _values_around(self) -> Mapping[str, Mapping[str, Mapping[str, Located]]]:
        """What a step can name of the runbook that it stands in, by what stands before its own id in its key.

        The parameters of the run are kept with it; those of a runbook that is called may have other defaults by now.
        """
        found: dict[str, Mapping[str, Mapping[str, Located]]] = {"": {"vars": self.plan.runbook.vars}}
        for key, entry in self.plan.outline.items():
            if isinstance(entry.step, CallStep):
                runbook, given = entry.step.runbook, {option.name for option in entry.step.params}
                defaults = {
                    one.name: one.default for one in runbook.params if one.default is not None and one.name not in given
                }
                found[key] = {"vars": runbook.vars, "params": defaults}
        return found


def key_of(step_id: str) -> str:
    """The id without the numbers of items."""
    return step_id.partition("[")[0]


def expressions_of(step: Step) -> Iterator[Expression]:
    """All expressions of a step itself, without what stands in it."""
    for one in dataclasses.fields(step):
        if one.name not in {"block", "runbook"}:
            yield from _expressions_in(getattr(step, one.name))


def _expressions_in(value: object) -> Iterator[Expression]:
    if isinstance(value, Expression):
        yield value
    elif isinstance(value, Template):
        yield from value.expressions
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _expressions_in(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _expressions_in(item)
    elif dataclasses.is_dataclass(value):
        for one in dataclasses.fields(value):
            yield from _expressions_in(getattr(value, one.name))


def _lines(step: Step, around: Mapping[str, Mapping[str, Located]]) -> Iterator[str]:
    fields = list(_fields(step))
    yield from (f"{name}: {value}" for name, value in _parts(step, fields))
    for root, name in _named_in([value for _, value in fields], around) if any(around.values()) else ():
        yield f"{root}.{name}: {_plain(around[root][name])}"


def _parts(step: Step, fields: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    for name, value in fields:
        if isinstance(value, tuple) and value and isinstance(value[0], Option):
            yield from ((f"{name}.{option.name}", _plain(option.value)) for option in value)
        else:
            yield name, _plain(value)
    if isinstance(step, CallStep):
        yield "runbook", step.runbook.path


def _fields(step: Step) -> Iterator[tuple[str, Any]]:
    """What is set and means something, of the step and of its block."""
    for holder in (step, getattr(step, "block", None)):
        if holder is None:
            continue
        for one in dataclasses.fields(holder):
            value = getattr(holder, one.name)
            if one.name not in _LEFT_OUT and one.name != "block" and value != one.default:
                yield one.name, value


def _named_in(value: object, around: Mapping[str, Mapping[str, Located]]) -> list[tuple[str, str]]:
    """The vars and parameters that a value names, and those that they name in turn, each with its root."""
    found: dict[tuple[str, str], None] = {}
    waiting: list[object] = [value]
    while waiting:
        for expression in _expressions_in(waiting.pop()):
            for reference in expression.references:
                values = around.get(reference.root, {})
                # A name that is not constant could be any of them.
                for name in reference.path[:1] or tuple(values):
                    if name in values and (reference.root, name) not in found:
                        found[reference.root, name] = None
                        waiting.append(values[name])
    return list(found)


def _plain(value: object) -> str:
    match value:
        case Located():
            return value.text or _plain(value.value)
        case Template():
            return "".join(f"${{{{{part.source}}}}}" if isinstance(part, Expression) else part for part in value.parts)
        case Expression():
            return value.source
        case tuple() if all(isinstance(item, Located) for item in value):
            return " ".join(map(_plain, value))
        case tuple():
            return f"[{', '.join(map(_plain, value))}]"
        case Mapping():
            return "{" + ", ".join(f"{name}: {_plain(item)}" for name, item in value.items()) + "}"
        case str():
            return value
    if dataclasses.is_dataclass(value):
        names = [one.name for one in dataclasses.fields(value)]
        return _plain({name: getattr(value, name) for name in names})
    return json.dumps(value)
