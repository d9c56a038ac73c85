"""Defines strings with holes in place of values that exist only during the run."""

from __future__ import annotations

from typing import Final, Self, SupportsIndex

_HOLE: Final = "?"


class PartialText(str):
    """Tracks which characters of a string are holes, through all slicing by argparse.

    A hole is printed as a question mark. Values of users and expressions are never of this class, so a question mark in
    data is not a hole. ``place`` is the index of the token that contains the string.
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


# A fully unknown value, of unknown type: compared by identity.
UNKNOWN: Final = PartialText(_HOLE, holes=(0,))


def holes_of(text: object) -> tuple[int, ...]:
    """Return the offsets of the holes in a string; empty for any other value."""
    return text.holes if isinstance(text, PartialText) else ()


def has_holes(value: object) -> bool:
    """Return whether a part of a value, or of a value in a list, is unknown."""
    if isinstance(value, list | tuple):
        return any(has_holes(item) for item in value)
    return bool(holes_of(value))


def joined(*parts: str) -> str:
    """Join strings and keep their holes; without holes, return a plain string."""
    text, holes = "".join(parts), []
    start = 0
    for part in parts:
        holes += [start + hole for hole in holes_of(part)]
        start += len(part)
    return PartialText(text, holes=tuple(holes)) if holes else text


def plain(text: str) -> str:
    """Convert to a plain string, unless it has holes."""
    return text if holes_of(text) else str(text)
