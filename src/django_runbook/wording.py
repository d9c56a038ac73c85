"""Formats hints, names and durations that several packages show in the same way."""

from __future__ import annotations

from collections.abc import Iterable

MAX_NAMES = 20
MAX_LINE = 1000
# Parts of paths of library code, which is hidden when a user looks for their own error.
LIBRARIES = ("/site-packages/", "/lib/python3", '"<frozen ', "/django_runbook/executors/")


def did_you_mean(name: str | None, *, where: str = "") -> str:
    """Return a "did you mean" hint; empty without a name."""
    if name is None:
        return ""
    return f'did you mean "{name}" ({where})?' if where else f'did you mean "{name}"?'


def choose_from(names: Iterable[str]) -> str:
    """Return a hint that lists the first of the possible values; empty without values."""
    listed = list(names)
    return f"choose from {', '.join(listed[:MAX_NAMES])}{', …' if len(listed) > MAX_NAMES else ''}" if listed else ""


def named(name: str, step_id: str) -> str:
    """Return the name of a step, with its id if that differs."""
    return f'"{name}"' if name == step_id else f'"{name}" ({step_id})'


def in_short(text: str) -> str:
    """Shorten a very long line."""
    return text if len(text) <= MAX_LINE else f"{text[: MAX_LINE - 1]}…"


def short_id(run_id: str) -> str:
    """Shorten the id of a run to the prefix that commands accept."""
    return run_id[:8]


def one_after_another(*hints: str) -> str:
    """Join hints, skipping empty ones."""
    return "; ".join(hint for hint in hints if hint).replace("?; ", "? ")


def exact_duration(seconds: float) -> str:
    """Format seconds as a file writes them: ``0.5s``, ``10m``, ``1h30m``."""
    whole = round(seconds)
    if whole != seconds or whole < 60:
        return f"{seconds:g}s"
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "m"), (left, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)
