"""Evaluates the expressions of a command step and binds it to its tokens."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping

from django_runbook.binding.argv import Binding, UnboundCommand, bind_command
from django_runbook.binding.catalog import BrokenCommandError, Catalog, UnknownCommandError
from django_runbook.binding.partial_text import holes_of
from django_runbook.binding.step_inputs import process_inputs
from django_runbook.binding.step_values import StepValues
from django_runbook.document.diagnostics import Diagnostic, diagnose
from django_runbook.document.expressions import ExpressionError
from django_runbook.document.inputs import Inputs
from django_runbook.document.runbook import CommandStep, Located, Option
from django_runbook.document.similar_names import nearest
from django_runbook.process_inputs import NO_INPUTS
from django_runbook.structs import MutableStruct, field, replace
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
        values = StepValues(inputs=inputs, context=context)
        try:
            command = self._unbound(step, values)
            process = process_inputs(step, values)
        except ExpressionError as error:
            diagnostic = diagnose("RB320", message=error.message, span=error.span)
            return Binding(diagnostics=(diagnostic,))
        binding = self._bound(command)
        return binding if process is NO_INPUTS else replace(binding, process=process)

    def is_batch(self, step: CommandStep) -> bool:
        """Return whether the command commits batch by batch."""
        try:
            return self.catalog.get(str(step.command[0].value)).is_batch
        except (UnknownCommandError, BrokenCommandError):
            return False

    def _bound(self, command: UnboundCommand) -> Binding:
        key = _key_of(command)
        with self._lock:
            if key in self._seen:
                return self._seen[key]
            binding = self._bind(command)
            if not binding.diagnostics:
                self._seen[key] = binding
            return binding

    def _bind(self, command: UnboundCommand) -> Binding:
        try:
            spec = self.catalog.get(command.name)
        except UnknownCommandError:
            return Binding(diagnostics=(self._unknown_command(command),))
        except BrokenCommandError as error:
            message = f'the command "{command.name}" cannot be loaded: {error}'
            return Binding(diagnostics=(diagnose("RB415", message=message, span=command.name_span),))
        return bind_command(command, spec, databases=self.databases)

    def _unbound(self, step: CommandStep, values: StepValues) -> UnboundCommand:
        name = step.command[0]
        if not isinstance(name.value, str):
            raise ExpressionError("the name of a command cannot be an expression", name.span)
        return UnboundCommand(
            name=name.value,
            name_span=name.span,
            words=tuple(values.word(token) for token in step.command[1:]),
            args=tuple(values.located(located) for located in step.args),
            options=tuple(
                Option(name=option.name, name_span=option.name_span, value=values.located(option.value))
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
            message = f'unknown command "{name}"'
            help_text = (
                did_you_mean(near, where=names[near]) if near else "add its app to INSTALLED_APPS, or correct the name"
            )
        return diagnose("RB401", message=message, span=command.name_span, help_text=help_text)


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
