"""Describes the progress, the pace and the remaining time of a step."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

from django_runbook import wording
from django_runbook.models import RUNNING
from django_runbook.pages.attempt_rows import Attempt
from django_runbook.pages.axis import percent
from django_runbook.structs import Struct


class ItemProgress(Struct):
    """Holds the counts of a step; ``rate`` is in items per second, None if the step is not running."""

    done_count: int
    total_count: int | None
    failed_count: int
    rate: float | None = None

    @property
    def text(self) -> str:
        """Return ``12,000 of 50,000 (24%), 3 failed``."""
        return wording.progress(self.done_count, self.total_count, self.failed_count)

    @property
    def share(self) -> str:
        """Return the completed share as a width in SVG; empty if the total is unknown or reached."""
        if not self.total_count or self.done_count >= self.total_count:
            return ""
        return percent(100 * self.done_count / self.total_count)

    @property
    def pace(self) -> str:
        """Return ``1,200/s, 32s left``; empty without a rate."""
        return wording.speed(self.rate or 0.0, (self.total_count or 0) - self.done_count)


def item_progress(attempts: Sequence[Attempt], *, now: datetime.datetime | None) -> ItemProgress | None:
    """Return the progress of the last attempt of a step; None if it reports none."""
    last = attempts[-1]
    if last.done_count is None:
        return None
    return ItemProgress(
        done_count=last.done_count,
        total_count=last.total_count,
        failed_count=last.failed_count,
        rate=_rate(attempts, now) if now is not None and last.status == RUNNING else None,
    )


def _rate(attempts: Sequence[Attempt], now: datetime.datetime) -> float | None:
    last = attempts[-1]
    # A batch command continues counting from its checkpoint; the earlier work does not belong to the pace.
    before = next((attempt.done_count for attempt in reversed(attempts[:-1]) if attempt.done_count), 0)
    seconds = (now - last.started_at).total_seconds() if last.started_at else 0.0
    done_count = (last.done_count or 0) - before
    return done_count / seconds if seconds > 0 and done_count > 0 else None
