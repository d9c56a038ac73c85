"""Resolves what a run is given, its parameters, secrets and start time, into the values that expressions see."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from django_runbook.document import params as parameters
from django_runbook.document.diagnostics import Diagnostic, Span, suggestion
from django_runbook.document.expressions import Expression, ExpressionError, Reference, Template, is_known, render
from django_runbook.document.outline import outline
from django_runbook.document.params import ParamError
from django_runbook.document.runbook import CallStep, Located, Param, Runbook

MIN_SECRET_LENGTH = 4
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the caller gives: the texts of ``--param``, the environment, and when and as what the run started.

    A runbook that calls another one gives ``values`` instead of texts; those in ``unknown`` come with the run, those in
    ``timed`` depend on when it starts.
    """

    params: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, object] = field(default_factory=dict)
    unknown: Collection[str] = ()
    timed: Collection[str] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    now: datetime.datetime
    run: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong with what the caller gave. ``kind`` is unknown, missing, value or secret."""

    kind: str
    name: str
    message: str
    help: str = ""

    def __str__(self) -> str:
        text = f"--param {self.name}: {self.message}" if self.kind == "value" else self.message
        return f"{text}; {self.help}" if self.help else text


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """The values that are known before the first step. What is missing in a mapping has no value yet.

    ``item`` is that of the loop around a step; ``all_secrets`` are those of the runbooks that this one calls too.
    ``timed`` holds the names, such as ``("params", "day")``, whose values depend on when the run starts.
    """

    params: Mapping[str, object]
    vars: Mapping[str, object]
    secrets: Mapping[str, str]
    now: datetime.datetime
    run: Mapping[str, object]
    item: object = _ABSENT
    all_secrets: Mapping[str, str] = field(default_factory=dict)
    timed: Collection[tuple[str, str]] = ()
    problems: tuple[Problem, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    def context(self, **more: object) -> dict[str, object]:
        """The names of an expression."""
        names: dict[str, object] = {
            "params": self.params,
            "vars": self.vars,
            "secrets": self.secrets,
            "run": self.run,
            "now": self.now,
            "today": self.now.date(),
            **more,
        }
        if self.item is not _ABSENT:
            names["item"] = self.item
        return names

    def knows(self, reference: Reference) -> bool:
        """Whether a name has its value before the first step."""
        if reference.root == "item":
            return self.item is not _ABSENT
        known = {"params": self.params, "vars": self.vars, "secrets": self.secrets, "run": self.run}.get(reference.root)
        if known is None:
            return reference.root in {"today", "now"}
        return bool(reference.path) and reference.path[0] in known

    def is_timed(self, located: Located | Expression) -> bool:
        """Tell whether a value or a condition depends on when the run starts."""
        return any(
            reference.root in {"today", "now"} or (reference.root, *reference.path[:1]) in self.timed
            for expression in _expressions(located)
            for reference in expression.references
        )

    def with_item(self, item: object) -> Inputs:
        """The same for one item of a loop."""
        return replace(self, item=item)

    def without_item(self) -> Inputs:
        """The same where the items of a loop are not known yet."""
        return replace(self, item=_ABSENT)

    def without_values(self) -> Inputs:
        """Return inputs that know no value, for what is not judged by its values."""
        return replace(self, params={}, vars={}, secrets={}, run={}, item=_ABSENT)


def resolve(runbook: Runbook, given: Given) -> Inputs:
    """The values of a runbook's parameters, secrets and vars; ``problems`` are the caller's, diagnostics the file's."""
    problems: list[Problem] = []
    secrets = dict(_secrets(_names_of_secrets(runbook), given, problems))
    known = _resolve(runbook, given, all_secrets=secrets)
    return replace(known, problems=(*known.problems, *problems))


def secrets_of(runbook: Runbook, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets of a runbook, and of those that it calls, before anything else is resolved."""
    return {name: environ[name] for name in _names_of_secrets(runbook) if name in environ}


def _names_of_secrets(runbook: Runbook) -> dict[str, None]:
    called = (entry.step.runbook for entry in outline(runbook).values() if isinstance(entry.step, CallStep))
    return dict.fromkeys((*runbook.secrets, *(name for inner in called for name in inner.secrets)))


def resolve_call(step: CallStep, outer: Inputs, context: Mapping[str, object] | None = None) -> Inputs:
    """The values of a runbook that another one calls; its ``diagnostics`` stand in the calling file.

    With a ``context`` everything is known; without one, what only the run knows has no value yet. Raises
    ExpressionError.
    """
    values: dict[str, object] = {}
    unknown: list[str] = []
    timed = [option.name for option in step.params if outer.is_timed(option.value)]
    for option in step.params:
        if context is None and not is_resolvable(option.value, outer):
            unknown.append(option.name)
        else:
            values[option.name] = resolve_value(option.value, context if context is not None else outer.context())
    given = Given(values=values, unknown=unknown, timed=timed, now=outer.now, run=outer.run)
    known = _resolve(step.runbook, given, all_secrets=outer.all_secrets)
    inside = tuple(replace(item, path=item.path or step.runbook.path) for item in known.diagnostics)
    return replace(known, diagnostics=(*_of_call(step, known.problems), *inside))


def _of_call(step: CallStep, problems: Collection[Problem]) -> Iterator[Diagnostic]:
    options = {option.name: option for option in step.params}
    for problem in problems:
        option = options.get(problem.name)
        span = step.span if option is None else option.name_span if problem.kind == "unknown" else option.value.span
        message = f'the parameter "{problem.name}": {problem.message}' if problem.kind == "value" else problem.message
        help_text = 'give it under "params"' if problem.kind == "missing" else problem.help
        code = "RB218" if problem.kind == "value" else "RB215"
        yield Diagnostic(code=code, message=message, span=span, help=help_text)


def _resolve(runbook: Runbook, given: Given, *, all_secrets: Mapping[str, str]) -> Inputs:
    problems = list(_unknown_params(runbook, given))
    diagnostics: list[Diagnostic] = []
    partial = Inputs(params={}, vars={}, secrets={}, now=given.now, run=given.run)
    params: dict[str, object] = {}
    timed = {("params", name) for name in given.timed}
    for param in runbook.params:
        if (
            param.name not in given.params
            and param.name not in given.values
            and param.default
            and partial.is_timed(param.default)
        ):
            timed.add(("params", param.name))
        if not param.type or param.name in given.unknown:
            # A declaration that is wrong is told already.
            continue
        try:
            value = _value_of(param, given, partial)
        except ParamError as error:
            if param.name in given.params or param.name in given.values:
                problems.append(Problem(kind="value", name=param.name, message=str(error)))
            elif param.default is not None and isinstance(param.default.value, Template):
                # A default without an expression was held against its type when the file was read.
                diagnostics.append(_diagnostic(str(error), param.default.span))
        except ExpressionError as error:
            diagnostics.append(_diagnostic(error.message, error.span))
        else:
            if value is not _ABSENT:
                params[param.name] = value
            elif param.default is None:
                problems.append(_missing(param))
    secrets = {name: all_secrets[name] for name in runbook.secrets if name in all_secrets}
    values: dict[str, object] = {}
    for name, located in runbook.vars.items():
        inputs = Inputs(params=params, vars=dict(values), secrets=secrets, now=given.now, run=given.run, timed=timed)
        if inputs.is_timed(located):
            timed.add(("vars", name))
        if not is_resolvable(located, inputs):
            continue
        try:
            values[name] = resolve_value(located, inputs.context())
        except ExpressionError as error:
            diagnostics.append(_diagnostic(error.message, error.span))
    return Inputs(
        params=params,
        vars=values,
        secrets=secrets,
        all_secrets=all_secrets,
        now=given.now,
        run=given.run,
        timed=frozenset(timed),
        problems=tuple(problems),
        diagnostics=tuple(diagnostics),
    )


def _value_of(param: Param, given: Given, partial: Inputs) -> object:
    """Return the value of a parameter: None if it is not given and need not be, `_ABSENT` if it has none, or none yet.

    A null that a calling runbook gives is as if it gave nothing.
    """
    if param.name in given.params:
        return parameters.parse_text(param, given.params[param.name])
    value = given.values.get(param.name)
    if value is None:
        if param.default is None or not is_resolvable(param.default, partial):
            return _ABSENT
        value = resolve_value(param.default, partial.context())
    return None if value is None else parameters.convert(param, value)


def _missing(param: Param) -> Problem:
    meaning = f" ({param.help})" if param.help else ""
    return Problem(
        kind="missing",
        name=param.name,
        message=f'the parameter "{param.name}" has no value',
        help=f"give --param {param.name}=…{meaning}",
    )


def resolve_value(located: Located, context: Mapping[str, object]) -> object:
    """A value of the file without its places; raises ExpressionError."""
    value = located.value
    if isinstance(value, Template):
        return render(value, context)
    if isinstance(value, tuple):
        return tuple(resolve_value(item, context) for item in value)
    if isinstance(value, Mapping):
        return {name: resolve_value(item, context) for name, item in value.items()}
    return value


def is_resolvable(located: Located, inputs: Inputs) -> bool:
    """Tell whether all that a value of the file names has its value before the first step."""
    return all(is_known(expression, inputs.knows) for expression in _expressions(located))


def _expressions(located: Located | Expression) -> Iterator[Expression]:
    if isinstance(located, Expression):
        yield located
        return
    value = located.value
    if isinstance(value, Template):
        yield from value.expressions
    elif isinstance(value, tuple | Mapping):
        for item in value if isinstance(value, tuple) else value.values():
            yield from _expressions(item)


def _unknown_params(runbook: Runbook, given: Given) -> Iterator[Problem]:
    names = [param.name for param in runbook.params]
    for name in (*given.params, *given.values, *given.unknown):
        if name not in names:
            declared = suggestion(name, names) or f"its parameters are: {', '.join(names) or 'none'}"
            yield Problem(kind="unknown", name=name, message=f'the runbook has no parameter "{name}"', help=declared)


def _secrets(names: Collection[str], given: Given, problems: list[Problem]) -> Iterator[tuple[str, str]]:
    for name in names:
        value = given.environ.get(name)
        if value is None:
            message, help_text = f'the secret "{name}" is not in the environment', f"set the variable {name}"
        elif len(value) < MIN_SECRET_LENGTH:
            message = f'the secret "{name}" is shorter than {MIN_SECRET_LENGTH} characters and cannot be masked'
            help_text = ""
        else:
            yield name, value
            continue
        problems.append(Problem(kind="secret", name=name, message=message, help=help_text))


def _diagnostic(message: str, span: Span) -> Diagnostic:
    return Diagnostic(code="RB320", message=message, span=span)
