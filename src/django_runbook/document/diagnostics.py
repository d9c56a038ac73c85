"""Makes diagnostics from the table of codes, sorts them, and finds similar names for their hints."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django_runbook.document.codes import CODES, CodeDefinition, Severity
from django_runbook.wording import did_you_mean

_MAX_WORD: Final = 100
_MAX_KNOWN: Final = 200
_SHORT: Final = 4


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Delimits a part of a file; lines and columns count characters from 1, the end is exclusive."""

    line: int
    column: int
    end_line: int
    end_column: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """Reports an error or a warning at a place in a file; only `diagnose` makes one.

    ``message`` states the fact, ``help`` says how to fix it, and ``related`` points at a second place. ``path`` is set
    if the file is not the one that was checked but a runbook that it includes.
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


def nearest(word: str, known: Iterable[str]) -> str | None:
    """Return the known word most similar to ``word``, or None."""
    # Comparing takes time in the square of the length, and a word may be data.
    if len(word) > _MAX_WORD:
        return None
    words = [one for one in known if len(one) <= _MAX_WORD]
    if len(words) > _MAX_KNOWN:
        words = [one for one in words if one[:1] == word[:1]][:_MAX_KNOWN]
    matches = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return matches[0] if matches else None


def typo_of(word: str, known: Iterable[str]) -> str | None:
    """Return the known name that ``word`` misspells, or None.

    A name that only looks similar may mean the opposite: ``log`` is not ``no_log``, ``stdout`` is not ``timeout``.
    """
    name = re.sub("(?<=[a-z])(?=[A-Z])", "_", word).replace("-", "_").replace(" ", "_").lower()
    limit = 1 if len(name) <= _SHORT else 2
    distances = {one: _distance(name, one, limit=limit) for one in known if abs(len(one) - len(name)) <= limit}
    best = min(distances, key=lambda one: distances[one], default=None)
    return best if best is not None and distances[best] <= limit else None


def _distance(one: str, other: str, *, limit: int) -> int:
    """Count the letters to insert, delete, replace or swap; exceed the limit if the first letters differ."""
    is_first_dropped = other in {one[1:], one[1::-1] + one[2:]} or one == other[1:]
    if one[:1] != other[:1] and not is_first_dropped:
        return limit + 1
    before: list[int] = []
    row = list(range(len(other) + 1))
    for number, letter in enumerate(one, start=1):
        earlier, before, row = before, row, [number]
        for place, wanted in enumerate(other, start=1):
            cost = min(row[-1] + 1, before[place] + 1, before[place - 1] + (letter != wanted))
            if number > 1 and place > 1 and letter == other[place - 2] and one[number - 2] == wanted:
                cost = min(cost, earlier[place - 2] + 1)
            row.append(cost)
    return row[-1]


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return a "did you mean" hint with the most similar known word; empty if there is none."""
    near = nearest(word, known)
    return did_you_mean(near) if near else ""


def in_order(diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Sort diagnostics by their place and remove duplicates; those of included runbooks come last.

    An expression with another diagnostic has no value either, which is not reported in addition.
    """
    found = list(dict.fromkeys(diagnostics))
    reported = {(item.path, item.span) for item in found if item.code != "RB320"}
    first = (item for item in found if item.code != "RB320" or (item.path, item.span) not in reported)
    return sorted(first, key=lambda diagnostic: (diagnostic.path, diagnostic.span))


def has_errors(diagnostics: Iterable[Diagnostic]) -> bool:
    """Return whether a diagnostic keeps the runbook from running."""
    return any(diagnostic.severity is Severity.ERROR for diagnostic in diagnostics)
