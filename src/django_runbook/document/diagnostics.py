"""Makes diagnostics from the table of codes, and sorts them."""

from __future__ import annotations

from collections.abc import Iterable

from django_runbook.document.codes import CODES, CodeDefinition, Severity
from django_runbook.structs import Struct


class Span(Struct, kw_only=False, order=True):
    """Delimits a part of a file; lines and columns count characters from 1, the end is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


class Diagnostic(Struct):
    """Reports an error or a warning at a place in a file; only `diagnose` makes one.

    ``message`` states the fact, ``help`` says how to fix it, and ``related`` points at a second place. ``path`` is set
    if the file is not the one that was checked but a runbook that it calls.
    """

    definition: CodeDefinition
    message: str
    span: Span
    help: str = ""
    related: Span | None = None
    related_message: str = ""
    path: str = ""

    @property
    def code(self) -> str:
        return self.definition.code

    @property
    def severity(self) -> Severity:
        return self.definition.severity

    @property
    def title(self) -> str:
        return self.definition.title


def diagnose(
    code: str,
    *,
    message: str,
    span: Span,
    help_text: str = "",
    related: Span | None = None,
    related_message: str = "",
    path: str = "",
) -> Diagnostic:
    """Make a diagnostic whose severity and title come from the table; raise KeyError for an unknown code."""
    return Diagnostic(
        definition=CODES[code],
        message=message,
        span=span,
        help=help_text,
        related=related,
        related_message=related_message,
        path=path,
    )


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Sort diagnostics by their place and remove duplicates; those of called runbooks come last.

    An expression with another diagnostic has no value either, which is not reported in addition.
    """
    found = list(dict.fromkeys(diagnostics))
    reported = {(item.path, item.span) for item in found if item.code != "RB320"}
    first = (item for item in found if item.code != "RB320" or (item.path, item.span) not in reported)
    return sorted(first, key=lambda diagnostic: (diagnostic.path, diagnostic.span))


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    """Return whether a diagnostic keeps the runbook from running."""
    return any(diagnostic.severity is Severity.ERROR for diagnostic in diagnostics)
