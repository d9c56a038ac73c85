"""Lists the rules that check each step once its command is bound.

A rule is a function from one bound step to its diagnostics.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from django_runbook.document.diagnostics import Diagnostic
from django_runbook.planning.atomic_steps import check_atomic_batch, check_atomic_database
from django_runbook.planning.bound_step import BoundStep
from django_runbook.planning.error_names import check_error_names
from django_runbook.planning.shards import check_shards

__all__ = ["RULES", "BoundStep", "Rule"]

Rule = Callable[[BoundStep], Iterable[Diagnostic]]
RULES: Final[tuple[Rule, ...]] = (
    check_error_names,
    check_atomic_batch,
    check_atomic_database,
    check_shards,
)
