"""Writes regular expressions that Python and JavaScript read in the same way."""

from __future__ import annotations

import re
from collections.abc import Iterable


def escaped(text: str) -> str:
    """Return a pattern that matches the text; ``re.escape`` adds backslashes that JavaScript refuses."""
    return re.sub(r"[\\^$.|?*+()\[\]{}/]", r"\\\g<0>", text)


def character_class(characters: Iterable[str]) -> str:
    """Return a pattern that matches any of the characters."""
    inner = re.sub(r"[\\\[\]^-]", r"\\\g<0>", "".join(characters))
    return f"[{inner}]"
