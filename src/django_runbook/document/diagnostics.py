"""A mistake in a runbook, as a value with a place."""

from __future__ import annotations

import difflib
import enum
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from django_runbook.wording import did_you_mean

_MAX_WORD: Final = 100
_MAX_KNOWN: Final = 200
_SHORT: Final = 4


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
    """Return the known word that looks most like ``word``, or None if there is none."""
    # Comparing takes time in the square of the length, and a word may be data.
    if len(word) > _MAX_WORD:
        return None
    words = [one for one in known if len(one) <= _MAX_WORD]
    if len(words) > _MAX_KNOWN:
        words = [one for one in words if one[:1] == word[:1]][:_MAX_KNOWN]
    matches = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return matches[0] if matches else None


def typo_of(word: str, known: Iterable[str]) -> str | None:
    """Return the known name that ``word`` was meant to be, or None.

    What only looks alike may mean the opposite: ``log`` is not ``no_log``, and ``stdout`` is not ``timeout``.
    """
    name = re.sub("(?<=[a-z])(?=[A-Z])", "_", word).replace("-", "_").replace(" ", "_").lower()
    limit = 1 if len(name) <= _SHORT else 2
    distances = {one: _distance(name, one, limit=limit) for one in known if abs(len(one) - len(name)) <= limit}
    best = min(distances, key=lambda one: distances[one], default=None)
    return best if best is not None and distances[best] <= limit else None


def _distance(one: str, other: str, *, limit: int) -> int:
    """Count the letters to insert, leave out, replace or swap; more than the limit if the first letters differ."""
    is_first_lost = other in {one[1:], one[1::-1] + one[2:]} or one == other[1:]
    if one[:1] != other[:1] and not is_first_lost:
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
    """Return the hint at the known word that looks most like ``word``; empty if there is none."""
    near = nearest(word, known)
    return did_you_mean(near) if near else ""


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
