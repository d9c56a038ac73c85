"""Describes progress as numbers and as text."""

from __future__ import annotations

from django_runbook import wording
from django_runbook.structs import Struct


class ProgressState(Struct):
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
        return wording.progress(self.done_count, self.total_count, self.failed_count)

    @property
    def speed_text(self) -> str:
        """Return a text such as ``100/s, 18s left``; empty before anything is done."""
        return wording.speed(self.rate, (self.total_count or 0) - self.done_count)
