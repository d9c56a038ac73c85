"""Resolves the parameters, variables and secrets of a run into the values that expressions read."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator, Mapping
from typing import Final

from django_runbook.cleaning import has_surrogates
from django_runbook.document import params as parameters
from django_runbook.document.diagnostics import Diagnostic, Span, diagnose
from django_runbook.document.expressions import Expression, ExpressionError, Reference, Template, render
from django_runbook.document.outline import outline
from django_runbook.document.params import ParamError
from django_runbook.document.runbook import CallStep, EnvironmentVariable, Located, Param, Runbook
from django_runbook.document.similar_names import suggestion
from django_runbook.structs import MutableStruct, Struct, field, replace

MIN_SECRET_LENGTH = 4
_ABSENT: Final = object()


class GivenInputs(Struct):
    """Holds what the caller provides: the strings of ``--param``, the environment, and the start time and run names.

    A calling runbook provides ``values`` instead of strings. The values of ``unknown`` parameters exist only during the
    run; those of ``timed`` parameters depend on its start time. A resumed run provides the variables that it began with
    as ``recorded_env``: None for one that was not set.
    """

    params: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, object] = field(default_factory=dict)
    unknown: Collection[str] = ()
    timed: Collection[str] = ()
    environ: Mapping[str, str] = field(default_factory=dict)
    recorded_env: Mapping[str, str | None] = field(default_factory=dict)
    now: datetime.datetime
    run: Mapping[str, object] = field(default_factory=dict)


class InputProblem(Struct):
    """Describes an error in what the caller provided; ``kind`` is unknown, missing, value, env or secret."""

    kind: str
    name: str
    message: str
    help: str = ""

    def __str__(self) -> str:
        text = f"--param {self.name}: {self.message}" if self.kind == "value" else self.message
        return f"{text}; {self.help}" if self.help else text


class Inputs(Struct):
    """Holds the values that are known before the first step; a name without a value is absent from its mapping.

    ``item`` belongs to the loop around a step. ``all_secrets`` includes the secrets of called runbooks, and ``all_env``
    their variables, without defaults. ``timed`` holds
    the names, such as ``("params", "day")``, whose values depend on the start time of the run.
    """

    params: Mapping[str, object] = field(default_factory=dict)
    vars: Mapping[str, object] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    now: datetime.datetime
    run: Mapping[str, object]
    item: object = _ABSENT
    all_env: Mapping[str, str] = field(default_factory=dict)
    all_secrets: Mapping[str, str] = field(default_factory=dict)
    timed: Collection[tuple[str, str]] = ()
    problems: tuple[InputProblem, ...] = ()
    diagnostics: tuple[Diagnostic, ...] = ()

    def context(self, **more: object) -> dict[str, object]:
        """Return the names that an expression can read."""
        names: dict[str, object] = {
            "params": self.params,
            "vars": self.vars,
            "env": self.env,
            "secrets": self.secrets,
            "run": self.run,
            "now": self.now,
            "today": self.now.date(),
            **more,
        }
        if self.item is not _ABSENT:
            names["item"] = self.item
        return names

    def is_static(self, value: Located | Expression) -> bool:
        """Return whether everything that a value or a condition refers to is known before the first step."""
        return all(self._has(reference) for reference in _references(value))

    def _has(self, reference: Reference) -> bool:
        if reference.root == "item":
            return self.item is not _ABSENT
        if reference.root in {"today", "now"}:
            return True
        known = self.context().get(reference.root)
        return bool(reference.path) and isinstance(known, Mapping) and reference.path[0] in known

    def is_timed(self, value: Located | Expression) -> bool:
        """Return whether a value or a condition depends on the start time of the run."""
        return any(
            reference.root in {"today", "now"} or (reference.root, *reference.path[:1]) in self.timed
            for reference in _references(value)
        )

    def with_item(self, item: object) -> Inputs:
        """Return these inputs for one item of a loop."""
        return replace(self, item=item)

    def without_item(self) -> Inputs:
        """Return these inputs for a loop whose items are not known yet."""
        return replace(self, item=_ABSENT)

    def without_values(self) -> Inputs:
        """Return these inputs without any value, to check a step whose values do not matter."""
        return replace(self, params={}, vars={}, env={}, secrets={}, run={}, item=_ABSENT)


def resolve(runbook: Runbook, given: GivenInputs) -> Inputs:
    """Resolve the parameters, variables and secrets of a runbook.

    Errors of the caller become ``problems``, errors of the file ``diagnostics``.
    """
    environ = {**given.environ, **given.recorded_env}
    found = {name: _problem_with_secret(name, given.environ.get(name)) for name in names_of_secrets(runbook)}
    secrets = {name: given.environ[name] for name, problem in found.items() if problem is None}
    declared = [variable for one in _with_called(runbook) for variable in one.env]
    env = {one.name: value for one in declared if (value := environ.get(one.name)) is not None}
    problems = {one.name: _problem_with_variable(one, env.get(one.name)) for one in declared}
    inputs = _Resolver(runbook=runbook, given=given, all_env=env, all_secrets=secrets).resolve()
    return replace(inputs, problems=(*inputs.problems, *filter(None, (*problems.values(), *found.values()))))


def secrets_of(runbook: Runbook, environ: Mapping[str, str]) -> dict[str, str]:
    """Return the secrets of a runbook and of the runbooks that it calls, without resolving anything else."""
    return {name: environ[name] for name in names_of_secrets(runbook) if name in environ}


def names_of_secrets(runbook: Runbook) -> dict[str, None]:
    """Return the names of the secrets of a runbook and of the runbooks that it calls, in order."""
    return dict.fromkeys(name for one in _with_called(runbook) for name in one.secrets)


def names_of_env(runbook: Runbook) -> dict[str, None]:
    """Return the names of the variables of a runbook and of the runbooks that it calls, in order."""
    return dict.fromkeys(variable.name for one in _with_called(runbook) for variable in one.env)


def names_of_required_env(runbook: Runbook) -> dict[str, None]:
    """Return the names of the variables that must be set, of a runbook and of the runbooks that it calls."""
    return dict.fromkeys(one.name for inner in _with_called(runbook) for one in inner.env if one.default is None)


def _with_called(runbook: Runbook) -> tuple[Runbook, ...]:
    called = (entry.step.runbook for entry in outline(runbook).values() if isinstance(entry.step, CallStep))
    return (runbook, *called)


def _problem_with_variable(variable: EnvironmentVariable, value: str | None) -> InputProblem | None:
    if value is None and variable.default is None:
        message, help_text = f'the environment variable "{variable.name}" is not set', "set it, or give it a default"
    elif value is not None and has_surrogates(value):
        message, help_text = f'the environment variable "{variable.name}" is not valid UTF-8', ""
    else:
        return None
    return InputProblem(kind="env", name=variable.name, message=message, help=help_text)


def _problem_with_secret(name: str, value: str | None) -> InputProblem | None:
    if value is None:
        message, help_text = f'the secret "{name}" is not in the environment', f"set the variable {name}"
    elif len(value) < MIN_SECRET_LENGTH:
        message = f'the secret "{name}" is shorter than {MIN_SECRET_LENGTH} characters and cannot be masked'
        help_text = ""
    else:
        return None
    return InputProblem(kind="secret", name=name, message=message, help=help_text)


def resolve_call(step: CallStep, outer: Inputs, context: Mapping[str, object] | None = None) -> Inputs:
    """Resolve the inputs of a called runbook; errors in its parameters become ``diagnostics`` of the calling file.

    With a ``context``, every value is known; without one, values that exist only during the run are absent. Raise
    ExpressionError.
    """
    values: dict[str, object] = {}
    unknown: list[str] = []
    timed = [option.name for option in step.params if outer.is_timed(option.value)]
    for option in step.params:
        if context is None and not outer.is_static(option.value):
            unknown.append(option.name)
        else:
            values[option.name] = resolve_value(option.value, context if context is not None else outer.context())
    given = GivenInputs(values=values, unknown=unknown, timed=timed, now=outer.now, run=outer.run)
    inputs = _Resolver(
        runbook=step.runbook, given=given, all_env=outer.all_env, all_secrets=outer.all_secrets
    ).resolve()
    inside = tuple(replace(item, path=item.path or step.runbook.path) for item in inputs.diagnostics)
    return replace(inputs, diagnostics=(*_diagnostics_of_call(step, inputs.problems), *inside))


def _diagnostics_of_call(step: CallStep, problems: Collection[InputProblem]) -> Iterator[Diagnostic]:
    options = {option.name: option for option in step.params}
    for problem in problems:
        option = options.get(problem.name)
        span = step.span if option is None else option.name_span if problem.kind == "unknown" else option.value.span
        message = f'the parameter "{problem.name}": {problem.message}' if problem.kind == "value" else problem.message
        help_text = 'set it under "params"' if problem.kind == "missing" else problem.help
        code = "RB218" if problem.kind == "value" else "RB215"
        yield diagnose(code, message=message, span=span, help_text=help_text)


class _Resolver(MutableStruct):
    """Resolves the parameters of one runbook, then its vars, and collects all errors."""

    runbook: Runbook
    given: GivenInputs
    all_env: Mapping[str, str]
    all_secrets: Mapping[str, str]
    params: dict[str, object] = field(default_factory=dict)
    vars: dict[str, object] = field(default_factory=dict)
    timed: set[tuple[str, str]] = field(default_factory=set)
    problems: list[InputProblem] = field(default_factory=list)
    diagnostics: list[Diagnostic] = field(default_factory=list)

    def resolve(self) -> Inputs:
        self.problems += _unknown_params(self.runbook, self.given)
        self.timed |= {("params", name) for name in self.given.timed}
        # A default can refer to the environment, the time and the run only.
        before_params = Inputs(env=self._env(), now=self.given.now, run=self.given.run)
        for param in self.runbook.params:
            self._resolve_param(param, before_params)
        for name, located in self.runbook.vars.items():
            self._resolve_var(name, located)
        return replace(
            self._inputs(),
            all_env=self.all_env,
            all_secrets=self.all_secrets,
            problems=tuple(self.problems),
            diagnostics=tuple(self.diagnostics),
        )

    def _inputs(self) -> Inputs:
        secrets = {name: self.all_secrets[name] for name in self.runbook.secrets if name in self.all_secrets}
        return Inputs(
            params=self.params,
            vars=dict(self.vars),
            env=self._env(),
            secrets=secrets,
            now=self.given.now,
            run=self.given.run,
            timed=frozenset(self.timed),
        )

    def _env(self) -> dict[str, str]:
        values = {one.name: self.all_env.get(one.name, one.default) for one in self.runbook.env}
        return {name: value for name, value in values.items() if value is not None}

    def _resolve_param(self, param: Param, before_params: Inputs) -> None:
        is_default = param.name not in self.given.params and param.name not in self.given.values
        if is_default and param.default is not None and before_params.is_timed(param.default):
            self.timed.add(("params", param.name))
        if not param.type or param.name in self.given.unknown:
            # A parameter without a type has an invalid declaration, which is reported already.
            return
        try:
            value = _value_of(param, self.given, before_params)
        except ParamError as error:
            if not is_default:
                self.problems.append(InputProblem(kind="value", name=param.name, message=str(error)))
            elif param.default is not None and isinstance(param.default.value, Template):
                # A default without an expression was compared with its type when the file was read.
                self._report(str(error), param.default.span)
        except ExpressionError as error:
            self._report(error.message, error.span)
        else:
            if value is not _ABSENT:
                self.params[param.name] = value
            elif param.default is None:
                self.problems.append(_missing(param))

    def _resolve_var(self, name: str, located: Located) -> None:
        inputs = self._inputs()
        if inputs.is_timed(located):
            self.timed.add(("vars", name))
        if not inputs.is_static(located):
            return
        try:
            self.vars[name] = resolve_value(located, inputs.context())
        except ExpressionError as error:
            self._report(error.message, error.span)

    def _report(self, message: str, span: Span) -> None:
        self.diagnostics.append(diagnose("RB320", message=message, span=span))


def _value_of(param: Param, given: GivenInputs, before_params: Inputs) -> object:
    """Return the value of a parameter: None if it is omitted and nullable, `_ABSENT` if it has no value, or none yet.

    A null from a calling runbook counts as omitted.
    """
    if param.name in given.params:
        return parameters.parse_text(param, given.params[param.name])
    value = given.values.get(param.name)
    if value is None:
        if param.default is None or not before_params.is_static(param.default):
            return _ABSENT
        value = resolve_value(param.default, before_params.context())
    return None if value is None else parameters.convert(param, value)


def _missing(param: Param) -> InputProblem:
    meaning = f" ({param.help})" if param.help else ""
    return InputProblem(
        kind="missing",
        name=param.name,
        message=f'the parameter "{param.name}" has no value',
        help=f"pass --param {param.name}=…{meaning}",
    )


def _unknown_params(runbook: Runbook, given: GivenInputs) -> Iterator[InputProblem]:
    names = [param.name for param in runbook.params]
    for name in (*given.params, *given.values, *given.unknown):
        if name not in names:
            declared = suggestion(name, names) or f"its parameters are: {', '.join(names) or 'none'}"
            message = f'the runbook has no parameter "{name}"'
            yield InputProblem(kind="unknown", name=name, message=message, help=declared)


def resolve_value(located: Located, context: Mapping[str, object]) -> object:
    """Return a value of the file with its expressions evaluated and without places; raise ExpressionError."""
    value = located.value
    if isinstance(value, Template):
        return render(value, context)
    if isinstance(value, tuple):
        return tuple(resolve_value(item, context) for item in value)
    if isinstance(value, Mapping):
        return {name: resolve_value(item, context) for name, item in value.items()}
    return value


def _references(located: Located | Expression) -> Iterator[Reference]:
    if isinstance(located, Expression):
        yield from located.references
        return
    value = located.value
    if isinstance(value, Template):
        for expression in value.expressions:
            yield from expression.references
    elif isinstance(value, tuple | Mapping):
        for item in value if isinstance(value, tuple) else value.values():
            yield from _references(item)
