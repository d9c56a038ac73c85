"""Holds texts with holes: what stands in for values that only the run will know."""

from __future__ import annotations

from typing import Final, Self, SupportsIndex

_HOLE: Final = "?"


class PartialText(str):
    """A text that knows which of its characters are holes, whatever argparse cuts out of it.

    A hole looks like a question mark and is none: no value of a user or of an expression is of this class, so no data
    can be taken for one. ``place`` is the number of the token that the text is a part of.
    """

    __slots__ = ("holes", "place")
    holes: tuple[int, ...]
    place: int

    def __new__(cls, text: str, *, holes: tuple[int, ...] | None = None, place: int = -1) -> Self:
        made = super().__new__(cls, text)
        made.holes = holes_of(text) if holes is None else holes
        made.place = place
        return made

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        part = super().__getitem__(key)
        if not isinstance(key, slice):
            return part
        places = range(*key.indices(len(self)))
        holes = tuple(number for number, place in enumerate(places) if place in self.holes)
        return PartialText(part, holes=holes, place=self.place)

    def partition(self, separator: str, /) -> tuple[str, str, str]:
        at = self.find(separator)
        if at < 0:
            return self, "", ""
        return self[:at], separator, self[at + len(separator) :]

    def split(self, sep: str | None = None, maxsplit: SupportsIndex = -1) -> list[str]:
        parts, start = [], 0
        for part in super().split(sep, maxsplit):
            start = self.index(part, start)
            parts.append(self[start : start + len(part)])
            start += len(part)
        return parts


# A value of which nothing is known, not even its type: compared by identity.
UNKNOWN: Final = PartialText(_HOLE, holes=(0,))


def holes_of(text: object) -> tuple[int, ...]:
    """Return the places of the holes in a text; none in what is not a text."""
    return text.holes if isinstance(text, PartialText) else ()


def has_holes(value: object) -> bool:
    """Whether a part of a value, or of one of the values in a list, is unknown."""
    if isinstance(value, list | tuple):
        return any(has_holes(item) for item in value)
    return bool(holes_of(value))


def joined(*parts: str) -> str:
    """Join texts and keep their holes; what has none is a plain text."""
    text, holes = "".join(parts), []
    start = 0
    for part in parts:
        holes += [start + hole for hole in holes_of(part)]
        start += len(part)
    return PartialText(text, holes=tuple(holes)) if holes else text


def plain(text: str) -> str:
    """Return the text as a plain one, unless it has holes."""
    return text if holes_of(text) else str(text)
