"""Finds the known name that a misspelled word is similar to."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from typing import Final

from django_runbook.wording import did_you_mean

_MAX_WORD: Final = 100
_MAX_KNOWN: Final = 200
_SHORT: Final = 4


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
