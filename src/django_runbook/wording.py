"""Words that several rooms say in the same way."""

from __future__ import annotations


def exact_duration(seconds: float) -> str:
    """Format seconds as a file writes them: ``0.5s``, ``10m``, ``1h30m``."""
    whole = round(seconds)
    if whole != seconds or whole < 60:
        return f"{seconds:g}s"
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    parts = ((hours, "h"), (minutes, "m"), (left, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)
