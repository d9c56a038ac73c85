"""Words that several rooms say in the same way."""

from __future__ import annotations

from collections.abc import Iterable

MAX_NAMES = 20
MAX_LINE = 1000
# Parts of the paths of code that a person who looks for an error of their own does not look into.
LIBRARIES = ("/site-packages/", "/lib/python3", '"<frozen ', "/django_runbook/executors/")


def did_you_mean(name: str | None, *, where: str = "") -> str:
    """Return the hint that names what a misspelt word is like; empty without a name."""
    if name is None:
        return ""
    return f'did you mean "{name}" ({where})?' if where else f'did you mean "{name}"?'


def choose_from(names: Iterable[str]) -> str:
    """Return the hint that lists what can be given, the first of them where they are many."""
    listed = list(names)
    return f"choose from {', '.join(listed[:MAX_NAMES])}{', …' if len(listed) > MAX_NAMES else ''}" if listed else ""


def named(name: str, step_id: str) -> str:
    """Name a step as its file does, with its id if that differs."""
    return f'"{name}"' if name == step_id else f'"{name}" ({step_id})'


def in_short(text: str) -> str:
    """Cut a line that nobody would read to its end."""
    return text if len(text) <= MAX_LINE else f"{text[: MAX_LINE - 1]}…"


def short_id(run_id: str) -> str:
    """Shorten the id of a run to what commands and people need of it."""
    return run_id[:8]


def one_after_another(*hints: str) -> str:
    """Join hints; those that are empty are left out."""
    return "; ".join(hint for hint in hints if hint)


def exact_duration(seconds: float) -> str:
    """Format seconds as a file writes them: ``0.5s``, ``10m``, ``1h30m``."""
    whole = round(seconds)
    if whole != seconds or whole < 60:
        return f"{seconds:g}s"
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "m"), (left, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)
