"""Finds the steps whose captured output an expression may read: no other output is kept or loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache

from django_runbook.document.expressions import Expression, Template
from django_runbook.document.outline import Entry, key_of
from django_runbook.document.runbook import Step
from django_runbook.structs import Struct


def steps_read(outline: Mapping[str, Entry]) -> Callable[[str], bool]:
    """Return whether any expression may read the output of the step with an id; they are searched at the first call."""

    @cache
    def names() -> frozenset[str]:
        return frozenset(
            name for key, entry in outline.items() for name in outputs_read_by(entry, prefix=key.rpartition("/")[0])
        )

    return lambda step_id: "" in names() or key_of(step_id) in names()


def outputs_read_by(entry: Entry, *, prefix: str) -> Iterator[str]:
    """Yield the keys of the steps that a step reads; an empty string is any step."""
    for expression in expressions_of(entry.step):
        for reference in expression.references:
            if reference.root == "steps":
                name = "".join(reference.path[:1])
                yield f"{prefix}/{name}" if prefix and name else name


def expressions_of(step: Step) -> Iterator[Expression]:
    """Yield the expressions of a step itself, without those of the steps inside it."""
    for name in step.__struct_fields__:
        if name not in {"block", "runbook"}:
            yield from expressions_in(getattr(step, name))


def expressions_in(value: object) -> Iterator[Expression]:
    """Yield the expressions in a value of the file."""
    if isinstance(value, Expression):
        yield value
    elif isinstance(value, Template):
        yield from value.expressions
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from expressions_in(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from expressions_in(item)
    elif isinstance(value, Struct):
        for name in value.__struct_fields__:
            yield from expressions_in(getattr(value, name))
