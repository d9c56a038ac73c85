"""Reports names of exceptions that cannot be imported."""

from __future__ import annotations

from collections.abc import Iterable

from django_runbook.binding import exception_names
from django_runbook.document.diagnostics import Diagnostic
from django_runbook.planning.bound_step import BoundStep


def check_error_names(bound: BoundStep) -> Iterable[Diagnostic]:
    """Report each unknown exception in ``errors`` and ``continue_on_error``."""
    return exception_names.check_names(bound.planned.step)
