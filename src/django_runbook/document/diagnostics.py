"""A mistake in a runbook, as a value with a place."""

from __future__ import annotations

import difflib
import enum
from collections.abc import Iterable
from dataclasses import dataclass


class Severity(enum.StrEnum):
    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch of the file; lines and columns count characters from 1, the end is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """``message`` states the fact, ``help`` says how to mend it; ``related`` points at a second place.

    ``path`` is the file where it is another one than that which was asked for: a runbook that a runbook names.
    """

    code: str
    message: str
    span: Span
    help: str = ""
    severity: Severity = Severity.ERROR
    related: Span | None = None
    related_message: str = ""
    path: str = ""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word most like ``word``, or None when none is near."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return matches[0] if matches else None


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Each diagnostic once, in the order of the file; those of the runbooks that it names come after.

    An expression whose name is told of has no value either, which is not told beside it.
    """
    found = list(dict.fromkeys(diagnostics))
    told = {(item.path, item.span) for item in found if item.code != "RB320"}
    first = (item for item in found if item.code != "RB320" or (item.path, item.span) not in told)
    return sorted(first, key=lambda diagnostic: (diagnostic.path, diagnostic.span))


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    """Whether one of them keeps the runbook from being run."""
    return any(diagnostic.severity is Severity.ERROR for diagnostic in diagnostics)
