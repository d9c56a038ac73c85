"""What a run is given, its parameters, secrets and start time, to the values that expressions see."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field

from django_runbook.document import params as parameters
from django_runbook.document.diagnostics import Diagnostic, Span, nearest
from django_runbook.document.expressions import ExpressionError, Reference, Template, is_known, render
from django_runbook.document.params import ParamError
from django_runbook.document.runbook import Located, Param, Runbook

MIN_SECRET_LENGTH = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the caller gives: the texts of ``--param``, the environment, and when and as what the run started."""

    params: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    now: datetime.datetime
    run: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The values that are known before the first step. What is missing in a mapping has no value yet."""

    params: Mapping[str, object]
    vars: Mapping[str, object]
    secrets: Mapping[str, str]
    now: datetime.datetime
    run: Mapping[str, object]
    problems: tuple[str, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    def context(self, **more: object) -> dict[str, object]:
        """The names of an expression."""
        return {
            "params": self.params,
            "vars": self.vars,
            "secrets": self.secrets,
            "run": self.run,
            "now": self.now,
            "today": self.now.date(),
            **more,
        }

    def knows(self, reference: Reference) -> bool:
        """Whether a name has its value before the first step."""
        known = {"params": self.params, "vars": self.vars, "secrets": self.secrets, "run": self.run}.get(reference.root)
        if known is None:
            return reference.root in {"today", "now"}
        return bool(reference.path) and reference.path[0] in known


def resolve(runbook: Runbook, given: Given) -> Inputs:
    """The values of a runbook's parameters, secrets and vars; ``problems`` are the caller's, diagnostics the file's."""
    problems = list(_unknown_params(runbook, given))
    diagnostics: list[Diagnostic] = []
    partial = Inputs(params={}, vars={}, secrets={}, now=given.now, run=given.run)
    params: dict[str, object] = {}
    for param in runbook.params:
        if not param.type:
            # Its declaration is wrong, which is told already.
            continue
        try:
            if param.name in given.params:
                params[param.name] = parameters.parse_text(param, given.params[param.name])
            elif param.default is not None and not _is_resolvable(param.default, partial):
                continue
            elif param.default is not None:
                params[param.name] = parameters.convert(param, resolve_value(param.default, partial))
            else:
                problems.append(f'the parameter "{param.name}" has no value; give --param {param.name}=…{_help(param)}')
        except ParamError as error:
            if param.name in given.params:
                problems.append(f"--param {param.name}: {error}")
            elif param.default is not None and isinstance(param.default.value, Template):
                # A default without an expression was held against its type when the file was read.
                diagnostics.append(_diagnostic(str(error), param.default.span))
        except ExpressionError as error:
            diagnostics.append(_diagnostic(error.message, error.span))
    secrets = dict(_secrets(runbook, given, problems))
    values: dict[str, object] = {}
    for name, located in runbook.vars.items():
        inputs = Inputs(params=params, vars=dict(values), secrets=secrets, now=given.now, run=given.run)
        if not _is_resolvable(located, inputs):
            continue
        try:
            values[name] = resolve_value(located, inputs)
        except ExpressionError as error:
            diagnostics.append(_diagnostic(error.message, error.span))
    return Inputs(
        params=params,
        vars=values,
        secrets=secrets,
        now=given.now,
        run=given.run,
        problems=tuple(problems),
        diagnostics=tuple(diagnostics),
    )


def resolve_value(located: Located, inputs: Inputs) -> object:
    """A value of the file without its places; raises ExpressionError."""
    value = located.value
    if isinstance(value, Template):
        return render(value, inputs.context())
    if isinstance(value, tuple):
        return tuple(resolve_value(item, inputs) for item in value)
    if isinstance(value, Mapping):
        return {name: resolve_value(item, inputs) for name, item in value.items()}
    return value


def _is_resolvable(located: Located, inputs: Inputs) -> bool:
    value = located.value
    if isinstance(value, Template):
        return all(is_known(expression, inputs.knows) for expression in value.expressions)
    items = value if isinstance(value, tuple) else value.values() if isinstance(value, Mapping) else ()
    return all(_is_resolvable(item, inputs) for item in items)


def _unknown_params(runbook: Runbook, given: Given) -> list[str]:
    names = [param.name for param in runbook.params]
    problems = []
    for name in given.params:
        if name not in names:
            near = nearest(name, names)
            declared = f'"{near}" is near' if near else f"its parameters are: {', '.join(names) or 'none'}"
            problems.append(f'the runbook has no parameter "{name}"; {declared}')
    return problems


def _secrets(runbook: Runbook, given: Given, problems: list[str]) -> list[tuple[str, str]]:
    found = []
    for name in runbook.secrets:
        value = given.environ.get(name)
        if value is None:
            problems.append(f'the secret "{name}" is not in the environment; set the variable {name}')
        elif len(value) < MIN_SECRET_LENGTH:
            problems.append(f'the secret "{name}" is shorter than {MIN_SECRET_LENGTH} characters and cannot be masked')
        else:
            found.append((name, value))
    return found


def _help(param: Param) -> str:
    return f" ({param.help})" if param.help else ""


def _diagnostic(message: str, span: Span) -> Diagnostic:
    return Diagnostic(code="RB320", message=message, span=span)
