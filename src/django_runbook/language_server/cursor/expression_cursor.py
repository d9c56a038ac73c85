"""Finds out what is being written at the cursor in an expression: a name, a member of a name, a filter or a test."""

from __future__ import annotations

import enum
import re
from typing import Final

from django_runbook.document.expressions import CLOSE, OPEN, segments
from django_runbook.language_server.cursor.cursor_places import CursorPlace
from django_runbook.structs import Struct

_STRING: Final = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_QUOTED: Final = re.compile(_STRING)
_KEY: Final = rf"\[\s*(?:{_STRING})\s*\]"
_MEMBER: Final = re.compile(rf"(?<![\w.\])])([A-Za-z_]\w*)((?:\s*\.\s*\w+|{_KEY})*)\s*(\.\s*|\[\s*['\"])([\w-]*)\Z")
_NAME_OF_PATH: Final = re.compile(rf"\.\s*(\w+)|\[\s*({_STRING})\s*\]")
_FILTER: Final = re.compile(r"(?<!\|)\|\s*(\w*)\Z")
_TEST: Final = re.compile(r"\bis\s+(?:not\s+)?(\w*)\Z")
_NAME: Final = re.compile(r"(?<![\w.])([A-Za-z_]\w*)?\Z")
_WORD: Final = re.compile(r"\w*")
_WORD_OF_KEY: Final = re.compile(r"[\w-]*")


class Writing(enum.Enum):
    """Names what the word at the cursor is part of."""

    NAME = "name"
    MEMBER = "member"
    FILTER = "filter"
    TEST = "test"


class ExpressionCursor(Struct):
    """Describes the word at the cursor: its beginning, and all of it.

    A member belongs to ``path``, a name with the names after it. ``opening`` is what precedes it: a dot, or a bracket
    with a quote.
    """

    writing: Writing
    beginning: str
    whole: str
    path: tuple[str, ...] = ()
    opening: str = ""


def expression_around(place: CursorPlace, *, is_condition: bool) -> tuple[str, str] | None:
    """Return the expression at the cursor, before and after it; None if the cursor is in none."""
    if place.is_key:
        return None
    if is_condition:
        return place.before, place.after
    *_, last = (None, *segments(place.before))
    if last is None or last.kind != "unclosed":
        return None
    return place.before[last.start + len(OPEN) :], place.after.partition(CLOSE)[0]


def cursor_in(before: str, after: str) -> ExpressionCursor | None:
    """Describe the word at the cursor; None in a string or a number."""
    is_in_string = any(quote in _QUOTED.sub("", before) for quote in "'\"")
    member = _MEMBER.search(before)
    if member is not None and is_in_string == (member[3][-1] in "'\""):
        path = (member[1], *(_name_of(match) for match in _NAME_OF_PATH.finditer(member[2])))
        rest = _WORD_OF_KEY.match(after) if is_in_string else _WORD.match(after)
        whole = member[4] + (rest[0] if rest else "")
        return ExpressionCursor(
            writing=Writing.MEMBER, beginning=member[4], whole=whole, path=path, opening=member[3].replace(" ", "")
        )
    if is_in_string:
        return None
    for writing, pattern in ((Writing.FILTER, _FILTER), (Writing.TEST, _TEST), (Writing.NAME, _NAME)):
        found = pattern.search(before)
        if found is not None:
            rest = _WORD.match(after)
            beginning = found[1] or ""
            return ExpressionCursor(writing=writing, beginning=beginning, whole=beginning + (rest[0] if rest else ""))
    return None


def _name_of(match: re.Match[str]) -> str:
    return match[1] or match[2][1:-1]
