"""Bounds the steps of ``finally``: each completes, unless another signal or its own stop timeout ends it."""

from __future__ import annotations

import time

from django_runbook.process.deadlines import Halt, wait_in_slices
from django_runbook.process.stopping import Stop


class _OfStop:
    """Takes the reason of a stop, and the time it gives, from the stop of the run."""

    def __init__(self, stop: Stop) -> None:
        self._stop = stop

    @property
    def grace_seconds(self) -> float:
        return self._stop.grace_seconds

    @property
    def reason(self) -> str:
        return self._stop.reason


class CleanUp(_OfStop):
    """Stops one step of ``finally`` on another signal, or when its own stop timeout expires."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop)
        self._since = time.monotonic()
        self._request_count = stop.request_count

    @property
    def is_requested(self) -> bool:
        return self._stop.is_due(since=self._since, request_count=self._request_count)

    @property
    def is_immediate(self) -> bool:
        return self.is_requested

    def wait(self, seconds: float) -> bool:
        return wait_in_slices(seconds, is_requested=lambda: self.is_requested, rest=time.sleep)

    def for_step(self) -> Halt:
        return self


class CleanUps(_OfStop):
    """Lets all steps of ``finally`` run, and gives each a `CleanUp` of its own."""

    is_requested = is_immediate = False

    def wait(self, seconds: float) -> bool:
        return self.for_step().wait(seconds)

    def for_step(self) -> Halt:
        return CleanUp(self._stop)
