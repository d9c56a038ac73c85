"""Lists the rules that check a whole file once its keys have been read.

A rule is a function from a file to its diagnostics. Errors in the type of a single key are found while it is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from django_runbook.document.diagnostics import Diagnostic
from django_runbook.document.validation.name_scopes import check_names
from django_runbook.document.validation.reading import FileContent

Rule = Callable[[FileContent], Iterable[Diagnostic]]
RULES: Final[tuple[Rule, ...]] = (check_names,)
