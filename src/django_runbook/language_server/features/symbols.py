"""Lists the parts of a runbook for the outline of an editor."""

from __future__ import annotations

import enum

from django_runbook.document.diagnostics import Span
from django_runbook.document.expressions import as_written
from django_runbook.document.outline import lists_of
from django_runbook.document.runbook import Block, CallStep, GroupStep, Runbook, Step
from django_runbook.results import Role
from django_runbook.structs import Struct


class SymbolKind(enum.Enum):
    PARAM = "param"
    VARIABLE = "variable"
    COMMAND = "command"
    GROUP = "group"
    RUNBOOK = "runbook"


class Symbol(Struct):
    """Names a part of a runbook, with its place and the parts in it."""

    name: str
    kind: SymbolKind
    span: Span
    detail: str = ""
    children: tuple[Symbol, ...] = ()


def symbols_of(runbook: Runbook) -> list[Symbol]:
    """Return the parameters, the variables and the steps of a runbook."""
    params = (
        Symbol(name=param.name, kind=SymbolKind.PARAM, span=param.span, detail=param.type) for param in runbook.params
    )
    variables = (
        Symbol(name=name, kind=SymbolKind.VARIABLE, span=value.span, detail="variable")
        for name, value in runbook.vars.items()
    )
    return [*params, *variables, *_steps(runbook.block)]


def _steps(block: Block) -> tuple[Symbol, ...]:
    return tuple(_step(step, role) for role, steps in lists_of(block, Role.STEP) for step in steps)


def _step(step: Step, role: Role) -> Symbol:
    kind = SymbolKind.COMMAND
    children: tuple[Symbol, ...] = ()
    if isinstance(step, GroupStep):
        kind, children = SymbolKind.GROUP, _steps(step.block)
    elif isinstance(step, CallStep):
        kind = SymbolKind.RUNBOOK
    detail = "" if role is Role.STEP else role.value
    return Symbol(name=as_written(step.name) or step.id, kind=kind, span=step.span, detail=detail, children=children)
