"""Fingerprints the definition of each step, so that a resume detects changes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any, Final

from django_runbook.cleaning import Mask
from django_runbook.document.expressions import Expression, Template
from django_runbook.document.outline import key_of
from django_runbook.document.read_outputs import expressions_in
from django_runbook.document.runbook import Block, CallStep, Located, Option, Runbook, Step
from django_runbook.planning.plan import Plan
from django_runbook.structs import Struct, asdict, field, given_fields

# Fields that do not change the meaning of a step, and the steps inside a group, which have their own definitions.
_EXCLUDED: Final = frozenset(
    (
        *("id", "name", "description", "tags", "span", "error_spans", "queue_span", "runbook", "shards", "steps"),
        *Block.__struct_fields__,
    )
) - {
    "is_parallel",
    "fail_fast",
    "max_parallel",
}


class Definition(Struct):
    """Holds the text of a definition, for a diff, and its digest."""

    text: str = ""
    digest: str = ""


class Definitions(Struct, dict=True):
    """Computes the definitions of the steps of a plan, each at its first use."""

    plan: Plan
    mask: Mask
    _made: dict[str, Definition] = field(default_factory=dict)

    def of(self, step_id: str) -> Definition:
        """Return the definition of a step, which all items of a loop share; an empty one for an unknown step."""
        key = key_of(step_id)
        if key not in self._made:
            entry = self.plan.outline.get(key)
            lines = () if entry is None else _lines(entry.step, self._values_around[key.rpartition("/")[0]])
            text = self.mask("\n".join(lines))
            self._made[key] = Definition(text=text, digest=hashlib.sha256(text.encode()).hexdigest() if text else "")
        return self._made[key]

    @cached_property
    def _values_around(self) -> Mapping[str, Mapping[str, Mapping[str, Located]]]:
        """Return the variables and defaults that the steps of each runbook can name, by the key of the call.

        The parameters of the run itself are recorded; a called runbook may have new defaults by now. So may a variable
        that was not in the environment.
        """
        runbook = self.plan.runbook
        found = {"": {"vars": runbook.vars, "env": self._env_defaults(runbook)}}
        for key, entry in self.plan.outline.items():
            if isinstance(entry.step, CallStep):
                runbook, given = entry.step.runbook, {option.name for option in entry.step.params}
                defaults = {
                    one.name: one.default for one in runbook.params if one.default is not None and one.name not in given
                }
                found[key] = {"vars": runbook.vars, "env": self._env_defaults(runbook), "params": defaults}
        return found

    def _env_defaults(self, runbook: Runbook) -> Mapping[str, Located]:
        unset = (one for one in runbook.env if one.name not in self.plan.inputs.all_env)
        return {one.name: Located(value=one.default, span=one.span) for one in unset if one.default is not None}


def _lines(step: Step, around: Mapping[str, Mapping[str, Located]]) -> Iterator[str]:
    fields = list(_fields(step))
    yield from (f"{name}: {value}" for name, value in _parts(step, fields))
    for root, name in _named_in([value for _, value in fields], around) if any(around.values()) else ():
        yield f"{root}.{name}: {_text_of(around[root][name])}"


def _parts(step: Step, fields: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, str]]:
    for name, value in fields:
        if isinstance(value, tuple) and value and isinstance(value[0], Option):
            yield from ((f"{name}.{option.name}", _text_of(option.value)) for option in value)
        else:
            yield name, _text_of(value)
    if isinstance(step, CallStep):
        yield "runbook", step.runbook.path


def _fields(step: Step) -> Iterator[tuple[str, Any]]:
    """Yield the fields of a step and its block that are set and change its meaning."""
    for holder in (step, getattr(step, "block", None)):
        if holder is None:
            continue
        yield from ((name, value) for name, value in given_fields(holder) if name not in {*_EXCLUDED, "block"})


def _named_in(value: object, around: Mapping[str, Mapping[str, Located]]) -> list[tuple[str, str]]:
    """Return the variables and parameters that a value names, also indirectly, each with its root."""
    found: dict[tuple[str, str], None] = {}
    waiting: list[object] = [value]
    while waiting:
        for expression in expressions_in(waiting.pop()):
            for reference in expression.references:
                values = around.get(reference.root, {})
                # A computed name could be any of them.
                for name in reference.path[:1] or tuple(values):
                    if name in values and (reference.root, name) not in found:
                        found[reference.root, name] = None
                        waiting.append(values[name])
    return list(found)


def _text_of(value: object) -> str:
    match value:
        case Located():
            return value.text or _text_of(value.value)
        case Template():
            return "".join(f"${{{{{part.source}}}}}" if isinstance(part, Expression) else part for part in value.parts)
        case Expression():
            return value.source
        case tuple() if all(isinstance(item, Located) for item in value):
            return " ".join(map(_text_of, value))
        case tuple():
            return f"[{', '.join(map(_text_of, value))}]"
        case Mapping():
            return "{" + ", ".join(f"{name}: {_text_of(item)}" for name, item in value.items()) + "}"
        case str():
            return value
    if isinstance(value, Struct):
        return _text_of(asdict(value))
    return json.dumps(value)
