"""Measures the pace of a step and estimates its remaining time."""

from __future__ import annotations

from collections import deque
from typing import Final

from django_runbook import wording
from django_runbook.events import StepProgress

# Earlier events say little about the current pace.
_WINDOW_SECONDS: Final = 30.0


class Pace:
    """Measures the pace over the last 30 seconds; the work before a resume does not count."""

    def __init__(self) -> None:
        self._seen: deque[StepProgress] = deque()

    def add(self, event: StepProgress) -> None:
        self._seen.append(event)
        while len(self._seen) > 2 and event.clock_seconds - self._seen[1].clock_seconds >= _WINDOW_SECONDS:
            self._seen.popleft()

    @property
    def rate_per_second(self) -> float:
        """Return the rate, or 0 while it is unknown."""
        if not self._seen:
            return 0.0
        first, last = self._seen[0], self._seen[-1]
        seconds = last.clock_seconds - first.clock_seconds
        return max(last.done_count - first.done_count, 0) / seconds if seconds > 0 else 0.0

    def text(self) -> str:
        """Return ``1,200 of 5,000 (24%), 3 failed, 300/s, 12s left``, as far as it is known."""
        if not self._seen:
            return ""
        now = self._seen[-1]
        counts = wording.progress(now.done_count, now.total_count, now.failed_count)
        speed = wording.speed(self.rate_per_second, (now.total_count or 0) - now.done_count)
        return f"{counts}, {speed}" if speed else counts

    @property
    def counts(self) -> tuple[int, int | None]:
        """Return the number of completed items and the total."""
        return (self._seen[-1].done_count, self._seen[-1].total_count) if self._seen else (0, None)
