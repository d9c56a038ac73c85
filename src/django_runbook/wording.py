"""Phrases the hints that messages to users share."""

from __future__ import annotations

from collections.abc import Iterable

MAX_NAMES = 20


def did_you_mean(name: str | None, *, where: str = "") -> str:
    """Return the hint that names what a misspelt word is like; empty without a name."""
    if name is None:
        return ""
    return f'did you mean "{name}" ({where})?' if where else f'did you mean "{name}"?'


def choose_from(names: Iterable[str]) -> str:
    """Return the hint that lists what can be given, the first of them where they are many."""
    listed = list(names)
    return f"choose from {', '.join(listed[:MAX_NAMES])}{', …' if len(listed) > MAX_NAMES else ''}" if listed else ""


def one_after_another(*hints: str) -> str:
    """Join hints; those that are empty are left out."""
    return "; ".join(hint for hint in hints if hint)
