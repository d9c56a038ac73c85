"""Finds and names invisible characters, which look like a space or like nothing at all."""

from __future__ import annotations

import unicodedata
from typing import Final

# Some scripts and emoji are written with them.
_JOINERS: Final = frozenset("\u200c\u200d")
# Letters and symbols that are blank.
_BLANK: Final = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_HIDDEN_CATEGORIES: Final = frozenset(("Zs", "Zl", "Zp", "Cf"))
_FIRST_TAG, _LAST_TAG = "\U000e0020", "\U000e007f"


def is_hidden(character: str) -> bool:
    """Return whether a character is invisible and not a plain space."""
    if character.isascii() or character in _JOINERS or _FIRST_TAG <= character <= _LAST_TAG:
        return False
    return character in _BLANK or unicodedata.category(character) in _HIDDEN_CATEGORIES


def is_blank(character: str) -> bool:
    """Return whether a hidden character is as wide as a space."""
    return character in _BLANK or unicodedata.category(character).startswith("Z")


def name_of(character: str) -> str:
    """Return the name and the number of a character: ``NO-BREAK SPACE (U+00A0)``."""
    number = f"U+{ord(character):04X}"
    name = unicodedata.name(character, "")
    return f"{name} ({number})" if name else number


def first_hidden(text: str) -> str | None:
    """Return the first hidden character of a text."""
    return None if text.isascii() else next((one for one in text if is_hidden(one)), None)
