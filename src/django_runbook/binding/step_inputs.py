"""Evaluates what the process of a command gets besides its arguments."""

from __future__ import annotations

from django_runbook.binding.step_values import StepValues
from django_runbook.cleaning import has_surrogates
from django_runbook.document.expressions import ExpressionError, Template
from django_runbook.document.runbook import CommandStep, Located
from django_runbook.process_inputs import NO_INPUTS, ProcessInputs


def process_inputs(step: CommandStep, values: StepValues) -> ProcessInputs:
    """Return what the process of a step gets; raise ExpressionError."""
    if step.stdin is None and not step.env:
        return NO_INPUTS
    return ProcessInputs(
        stdin=None if step.stdin is None else _stdin(step.stdin, values),
        env={option.name: _variable(option.value, values) for option in step.env},
    )


def _stdin(stdin: str | Template, values: StepValues) -> str:
    if isinstance(stdin, str):
        return stdin
    text = values.text(stdin)
    if has_surrogates(text):
        message = "the text of stdin has half a surrogate pair, which UTF-8 cannot encode"
        raise ExpressionError(message, stdin.expressions[0].span)
    return text


def _variable(located: Located, values: StepValues) -> str | None:
    if not isinstance(located.value, Template):
        return None if located.value is None else located.text
    match values.located(located).value:
        case None:
            return None
        case bool() as value:
            return "true" if value else "false"
        case int() | float() as value:
            return str(value)
        case str() as value if "\0" not in value and not has_surrogates(value):
            return value
        case str():
            message = "the value has a NUL character or half a surrogate pair, which no environment variable can have"
        case _:
            message = "the value is a list, which no environment variable can be: join its items"
    raise ExpressionError(message, located.span)
