"""Describes progress as numbers and as text."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgressState:
    """Holds the numbers of one moment; ``rate`` is in items per second since this process began."""

    description: str
    done_count: int
    total_count: int | None
    failed_count: int
    elapsed_seconds: float
    rate: float

    @property
    def count_text(self) -> str:
        """Return a text such as ``1,200 of 3,000 (40%), 3 failed``."""
        text = f"{self.done_count:,}"
        if self.total_count is not None:
            text += f" of {self.total_count:,}"
        if self.total_count and self.done_count:
            text += f" ({min(100, 100 * self.done_count // self.total_count)}%)"
        return text + (f", {self.failed_count:,} failed" if self.failed_count else "")

    @property
    def speed_text(self) -> str:
        """Return a text such as ``100/s, 0:00:18 left``; empty before anything is done."""
        if not self.rate:
            return ""
        text = f"{self.rate:,.0f}/s" if self.rate >= 10 else f"{self.rate:.1f}/s"
        if self.rate < 1:
            text = f"{self.rate * 60:.1f}/min"
        remaining_count = (self.total_count or 0) - self.done_count
        return text + (f", {clock_text(remaining_count / self.rate)} left" if remaining_count > 0 else "")


def clock_text(seconds: float) -> str:
    """Format seconds as ``0:00:18``."""
    return str(timedelta(seconds=round(seconds)))
