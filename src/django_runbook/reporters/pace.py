"""The progress of one step to how fast it goes and how long it will take."""

from __future__ import annotations

from collections import deque
from typing import Final

from django_runbook.events import StepProgress
from django_runbook.reporters import texts

# What was longer ago says little about how fast it goes now.
_WINDOW_SECONDS: Final = 30.0


class Pace:
    """Measures by the times of the events, over the last half a minute; what a resumed step did before is no speed."""

    def __init__(self) -> None:
        self._seen: deque[StepProgress] = deque()

    def add(self, event: StepProgress) -> None:
        self._seen.append(event)
        while len(self._seen) > 2 and event.clock_seconds - self._seen[1].clock_seconds >= _WINDOW_SECONDS:
            self._seen.popleft()

    @property
    def rate_per_second(self) -> float:
        """0 as long as it is not known."""
        if not self._seen:
            return 0.0
        first, last = self._seen[0], self._seen[-1]
        seconds = last.clock_seconds - first.clock_seconds
        return max(last.done_count - first.done_count, 0) / seconds if seconds > 0 else 0.0

    def words(self) -> str:
        """``1,200 of 5,000 (24%), 3 failed, 300/s, 12s left``, as far as it is known."""
        if not self._seen:
            return ""
        now, rate = self._seen[-1], self.rate_per_second
        parts = [f"{now.done_count:,}"]
        if now.total_count:
            share = min(now.done_count / now.total_count, 1)
            parts[0] += f" of {now.total_count:,} ({share:.0%})" if share < 1 else f" of {now.total_count:,}"
        if now.failed_count:
            parts.append(f"{now.failed_count:,} failed")
        if rate:
            parts.append(f"{rate:,.0f}/s" if rate >= 9.5 else f"{rate:.1f}/s")
            if now.total_count and now.total_count > now.done_count:
                parts.append(f"{texts.duration((now.total_count - now.done_count) / rate)} left")
        return ", ".join(parts)

    @property
    def counts(self) -> tuple[int, int | None]:
        """How many are done, and of how many."""
        return (self._seen[-1].done_count, self._seen[-1].total_count) if self._seen else (0, None)
