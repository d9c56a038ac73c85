"""Evaluates the expressions of a command step and binds it to its tokens."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Collection, Mapping

from django_runbook.binding.argv import Binding, UnboundCommand, Word, bind_command
from django_runbook.binding.catalog import BrokenCommandError, Catalog, UnknownCommandError
from django_runbook.binding.partial_text import UNKNOWN, holes_of, joined
from django_runbook.document.diagnostics import Diagnostic, diagnose
from django_runbook.document.evaluation.values import kind_of
from django_runbook.document.expressions import ExpressionError, Template, as_text, evaluate
from django_runbook.document.inputs import Inputs
from django_runbook.document.runbook import CommandStep, Located, Option
from django_runbook.document.similar_names import nearest
from django_runbook.structs import MutableStruct, Struct, field
from django_runbook.wording import did_you_mean

_ENTRY_POINTS = frozenset(("manage.py", "./manage.py", "python", "python3", "django-admin"))


class Binder(MutableStruct):
    """Binds steps to tokens, and remembers what it has bound.

    ``databases`` are the known aliases. Steps without a verbosity get ``verbosity``. Atomic steps run in transactions
    of ``atomic_alias``.
    """

    catalog: Catalog
    databases: Collection[str] = ()
    verbosity: int | None = None
    atomic_alias: str = "default"
    _seen: dict[object, Binding] = field(default_factory=dict)
    # A parser has state, and the branches of a parallel group use it at the same time.
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def bind(self, step: CommandStep, *, inputs: Inputs, context: Mapping[str, object] | None = None) -> Binding:
        """Bind a step. Without a ``context``, values that exist only during the run are `UNKNOWN`."""
        evaluation = _Evaluation(inputs=inputs, context=context)
        try:
            command = self._unbound(step, evaluation)
        except ExpressionError as error:
            diagnostic = diagnose("RB320", message=error.message, span=error.span)
            return Binding(diagnostics=(diagnostic,))
        key = _key_of(command)
        with self._lock:
            if key in self._seen:
                return self._seen[key]
            binding = self._bind(command)
            if not binding.diagnostics:
                self._seen[key] = binding
            return binding

    def is_batch(self, step: CommandStep) -> bool:
        """Return whether the command commits batch by batch."""
        try:
            return self.catalog.get(str(step.command[0].value)).is_batch
        except (UnknownCommandError, BrokenCommandError):
            return False

    def _bind(self, command: UnboundCommand) -> Binding:
        try:
            spec = self.catalog.get(command.name)
        except UnknownCommandError:
            return Binding(diagnostics=(self._unknown_command(command),))
        except BrokenCommandError as error:
            message = f'the command "{command.name}" cannot be loaded: {error}'
            return Binding(diagnostics=(diagnose("RB415", message=message, span=command.name_span),))
        return bind_command(command, spec, databases=self.databases)

    def _unbound(self, step: CommandStep, evaluation: _Evaluation) -> UnboundCommand:
        name = step.command[0]
        if not isinstance(name.value, str):
            raise ExpressionError("the name of a command cannot be an expression", name.span)
        return UnboundCommand(
            name=name.value,
            name_span=name.span,
            words=tuple(evaluation.word(token) for token in step.command[1:]),
            args=tuple(evaluation.located(located) for located in step.args),
            options=tuple(
                Option(name=option.name, name_span=option.name_span, value=evaluation.located(option.value))
                for option in step.options
            ),
            verbosity=self.verbosity,
        )

    def _unknown_command(self, command: UnboundCommand) -> Diagnostic:
        name, names = command.name, self.catalog.names
        if name in _ENTRY_POINTS:
            message, help_text = (
                f'"{name}" is not a management command',
                'leave out "python manage.py" and write only the command',
            )
        else:
            near = nearest(name, names)
            message = f'there is no management command "{name}"'
            help_text = (
                did_you_mean(near, where=names[near]) if near else "add its app to INSTALLED_APPS, or correct the name"
            )
        return diagnose("RB401", message=message, span=command.name_span, help_text=help_text)


class _Evaluation(Struct):
    inputs: Inputs
    context: Mapping[str, object] | None

    def word(self, token: Located) -> Word:
        template = token.value
        if isinstance(template, str):
            return Word(text=template, span=token.span)
        assert isinstance(template, Template)
        first = template.parts[0]
        written_length = len(first) if isinstance(first, str) else 0
        return Word(text=self._text(template), span=token.span, written_length=written_length)

    def located(self, located: Located) -> Located:
        value = located.value
        if isinstance(value, Template):
            if value.whole is None:
                return Located(value=self._text(value), span=located.span)
            return _as_located(self._value(value), located)
        if isinstance(value, tuple):
            return Located(value=tuple(self.located(item) for item in value), span=located.span)
        return located

    def _value(self, template: Template) -> object:
        assert template.whole is not None
        if self.context is None and not self.inputs.is_static(template.whole):
            return UNKNOWN
        return evaluate(template.whole, self.context if self.context is not None else self.inputs.context())

    def _text(self, template: Template) -> str:
        parts = []
        for part in template.parts:
            if isinstance(part, str):
                parts.append(part)
            elif self.context is None and not self.inputs.is_static(part):
                parts.append(UNKNOWN)
            else:
                context = self.context if self.context is not None else self.inputs.context()
                parts.append(as_text(evaluate(part, context), part))
        return joined(*parts)


def _as_located(value: object, located: Located) -> Located:
    """Locate the value of an expression at the place of the expression."""
    match value:
        case None | bool() | int() | float() | str():
            return Located(value=value, span=located.span)
        case datetime.date() | datetime.time():
            return Located(value=value.isoformat(), span=located.span)
        case list() | tuple():
            return Located(value=tuple(_as_located(item, located) for item in value), span=located.span)
    template = located.value
    assert isinstance(template, Template)
    assert template.whole is not None
    raise ExpressionError(f'"{template.whole.source}" is {kind_of(value)}, which no command takes', located.span)


def _key_of(command: UnboundCommand) -> object:
    return (
        command.name,
        tuple((word.text, holes_of(word.text), word.written_length) for word in command.words),
        tuple(_plain(located) for located in command.args),
        tuple((option.name, _plain(option.value)) for option in command.options),
    )


def _plain(located: Located) -> object:
    if isinstance(located.value, tuple):
        return tuple(_plain(item) for item in located.value)
    if isinstance(located.value, Mapping):
        return tuple((name, _plain(item)) for name, item in located.value.items())
    # The type is part of the key: True and 1 are equal but make different tokens.
    return (type(located.value), located.value, holes_of(located.value), located.text)
