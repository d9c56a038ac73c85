"""Dispatches events as `FanOut` does, and measures how long the history and the reporters take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django_runbook.events import Event
from django_runbook.reporters import Reporter
from django_runbook.reporters.fan_out import FanOut
from django_runbook.stopwatch import Stopwatch


class MeasuredFanOut(FanOut):
    """Adds the times to a stopwatch; a run that is not measured does without, since each line of output is an event."""

    def __init__(self, reporters: Sequence[Reporter], *, stopwatch: Stopwatch, **options: Any) -> None:
        super().__init__(reporters, **options)
        self._stopwatch = stopwatch

    def _store(self, event: Event) -> None:
        with self._stopwatch.history():
            super()._store(event)

    def _report(self, event: Event) -> None:
        with self._stopwatch.reports():
            super()._report(event)
