"""Formats hints, names, durations and counts that several packages show in the same way."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

MAX_NAMES = 20
MAX_LINE = 1000
# Two durations within this factor are about the same.
_ABOUT = 1.2
# Parts of paths of library code, which is hidden when a user looks for their own error.
LIBRARIES = (
    "/site-packages/",
    "/lib/python3",
    '"<frozen ',
    "/django_runbook/executors/",
    "/django_runbook/row_counting/",
)


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


def in_doubt(name: str, *, step_id: str) -> str:
    """Describe a step whose command was interrupted, with both ways to resolve it."""
    return (
        f"step {name} was interrupted and its outcome is unknown: "
        f"--rerun {step_id} runs it again, --skip {step_id} marks it as done"
    )


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
    minutes, seconds_left = divmod(whole, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = ((days, "d"), (hours, "h"), (minutes, "m"), (seconds_left, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)


def short_duration(seconds: float) -> str:
    """Format a measured duration: ``0.4s``, ``12s``, ``3m05s``, ``2h03m`` or ``2d03h``."""
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}m{rest:02}s"
    if minutes < 24 * 60:
        return f"{minutes // 60}h{minutes % 60:02}m"
    hours = round(seconds / 3600)
    return f"{hours // 24}d{hours % 24:02}h"


def usually(usual_seconds: float, most_seconds: float, *, run_count: int) -> str:
    """Return ``usually 4m05s, at most 6m10s in 95% of 42 runs``, with one duration if they are about equal."""
    usual = f"usually {short_duration(usual_seconds)}"
    if most_seconds <= _ABOUT * usual_seconds:
        return usual
    return f"{usual}, at most {short_duration(most_seconds)} in 95% of {run_count} runs"


def clock_time(at: datetime.datetime, *, now: datetime.datetime) -> str:
    """Format a time near ``now``: the time of day, and the day if it is another one."""
    is_today = at.date() == now.astimezone(at.tzinfo).date()
    return at.strftime("%H:%M" if is_today else "%Y-%m-%d %H:%M")


def number_of(count: int, noun: str) -> str:
    """Count things: ``1 item``, ``3 items``."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def progress(done_count: int, total_count: int | None, failed_count: int = 0) -> str:
    """Format counts: ``1,200 of 5,000 (24%), 3 failed``."""
    text = f"{done_count:,}"
    if total_count or total_count == done_count:
        text += f" of {total_count:,}"
    if total_count and 0 < done_count <= total_count:
        text += f" ({100 * done_count // total_count}%)"
    return f"{text}, {failed_count:,} failed" if failed_count else text


def speed(rate_per_second: float, remaining_count: int = 0) -> str:
    """Format a rate and the remaining time: ``300/s, 12s left``; empty without a rate."""
    if not rate_per_second:
        return ""
    if rate_per_second >= 9.95:
        text = f"{rate_per_second:,.0f}/s"
    elif rate_per_second >= 1:
        text = f"{rate_per_second:.1f}/s"
    else:
        text = f"{rate_per_second * 60:.1f}/min"
    return f"{text}, {short_duration(remaining_count / rate_per_second)} left" if remaining_count > 0 else text


def lock_retaken(name: str) -> str:
    """Report a lock that was lost and acquired again."""
    return f'the lock "{name}" was lost and acquired again; no other holder is known'
