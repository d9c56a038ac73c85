"""Gives text that would steer a terminal or mislead a reader, and finds what is left of it."""

from __future__ import annotations

import unicodedata
from typing import Final

_HIDDEN: Final = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))
NASTY: Final = "a\x1b]0;owned\x07b\x1b[2Jc\x9b31md\x7fe\x00f\u202eg\u2066h\u200bi\u200dj\u2028k\ufeffl\ud800m\U000e0041n\r\n::error::o%p"


def hidden_in(text: str) -> list[str]:
    """Return the control and format characters in a text, but for tabs and line feeds."""
    return [one for one in text if unicodedata.category(one) in _HIDDEN and one not in "\t\n"]
