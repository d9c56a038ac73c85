"""Evaluates the values of a command step, as far as they are known."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from django_runbook.binding.partial_text import UNKNOWN, joined
from django_runbook.binding.unbound import Word
from django_runbook.document.evaluation.values import kind_of
from django_runbook.document.expressions import ExpressionError, Template, as_text, evaluate
from django_runbook.document.inputs import Inputs
from django_runbook.document.runbook import Located
from django_runbook.structs import Struct


class StepValues(Struct):
    """Evaluates values; without a ``context``, those that exist only during the run are `UNKNOWN`."""

    inputs: Inputs
    context: Mapping[str, object] | None

    def word(self, token: Located) -> Word:
        """Return a token of the command line."""
        template = token.value
        if isinstance(template, str):
            return Word(text=template, span=token.span)
        assert isinstance(template, Template)
        first = template.parts[0]
        written_length = len(first) if isinstance(first, str) else 0
        return Word(text=self.text(template), span=token.span, written_length=written_length)

    def located(self, located: Located) -> Located:
        """Return a value with its expressions evaluated."""
        value = located.value
        if isinstance(value, Template):
            if value.whole is None:
                return Located(value=self.text(value), span=located.span)
            return _as_located(self._value(value), located)
        if isinstance(value, tuple):
            return Located(value=tuple(self.located(item) for item in value), span=located.span)
        return located

    def _value(self, template: Template) -> object:
        assert template.whole is not None
        if self.context is None and not self.inputs.is_static(template.whole):
            return UNKNOWN
        return evaluate(template.whole, self.context if self.context is not None else self.inputs.context())

    def text(self, template: Template) -> str:
        """Return the text of a template, with holes for unknown values."""
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
