"""Lists the rules that check a command line once the parser of its command accepts it.

A rule is a function from an accepted command to its diagnostics. What the parser refuses is reported before, so that
no rule has to repeat its checks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from django_runbook.binding.accepted import AcceptedCommand, check_absent, check_database
from django_runbook.document.diagnostics import Diagnostic

__all__ = ["RULES", "AcceptedCommand", "Rule"]

Rule = Callable[[AcceptedCommand], Iterable[Diagnostic]]
RULES: Final[tuple[Rule, ...]] = (
    check_database,
    check_absent,
)
