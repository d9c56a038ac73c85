"""Evaluates what the process of a command gets besides its arguments."""

from __future__ import annotations

from django_runbook.binding.step_values import StepValues
from django_runbook.cleaning import has_surrogates
from django_runbook.document.expressions import ExpressionError, Template
from django_runbook.document.runbook import CommandStep
from django_runbook.process_inputs import NO_INPUTS, ProcessInputs


def process_inputs(step: CommandStep, values: StepValues) -> ProcessInputs:
    """Return what the process of a step gets; raise ExpressionError."""
    return NO_INPUTS if step.stdin is None else ProcessInputs(stdin=_stdin(step.stdin, values))


def _stdin(stdin: str | Template, values: StepValues) -> str:
    if isinstance(stdin, str):
        return stdin
    text = values.text(stdin)
    if has_surrogates(text):
        message = "the text of stdin has half a surrogate pair, which UTF-8 cannot encode"
        raise ExpressionError(message, stdin.expressions[0].span)
    return text
