"""The counts of a step to how far it is, how fast, and how long it will take."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass

from django_runbook.models import RUNNING
from django_runbook.pages.attempts import Attempt
from django_runbook.pages.axis import percent
from django_runbook.pages.words import number
from django_runbook.reporters.texts import duration


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a step is; ``rate`` is in items a second, None where it is not at work."""

    done_count: int
    total_count: int | None
    failed_count: int
    rate: float | None = None

    @property
    def text(self) -> str:
        """``12,000 of 50,000 (24%), 3 failed``."""
        text = number(self.done_count)
        if self.total_count is not None:
            text += f" of {number(self.total_count)}"
        if self.total_count:
            text += f" ({min(100, 100 * self.done_count // self.total_count)}%)"
        return f"{text}, {number(self.failed_count)} failed" if self.failed_count else text

    @property
    def share(self) -> str:
        """The part that is done, as a width in SVG; empty where the whole is not known, or done."""
        if not self.total_count or self.done_count >= self.total_count:
            return ""
        return percent(100 * self.done_count / self.total_count)

    @property
    def pace(self) -> str:
        """``1,200/s, 32s left``; empty where there is none."""
        if not self.rate:
            return ""
        text = f"{number(round(self.rate))}/s" if self.rate >= 10 else f"{self.rate:.1f}/s"
        if self.total_count is None:
            return text
        return f"{text}, {duration(max(0, self.total_count - self.done_count) / self.rate)} left"


def progress_of(attempts: Sequence[Attempt], *, now: datetime.datetime | None) -> Progress | None:
    """How far the last of a step's attempts is; None where it counts nothing."""
    last = attempts[-1]
    if last.done_count is None:
        return None
    return Progress(
        done_count=last.done_count,
        total_count=last.total_count,
        failed_count=last.failed_count,
        rate=_rate(attempts, now) if now is not None and last.status == RUNNING else None,
    )


def _rate(attempts: Sequence[Attempt], now: datetime.datetime) -> float | None:
    last = attempts[-1]
    # A batch command counts on from its checkpoint, and what is done already says nothing about the pace.
    before = next((attempt.done_count for attempt in reversed(attempts[:-1]) if attempt.done_count), 0)
    seconds = (now - last.started_at).total_seconds() if last.started_at else 0.0
    done_count = (last.done_count or 0) - before
    return done_count / seconds if seconds > 0 and done_count > 0 else None
