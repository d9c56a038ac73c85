"""Decides when a claimed call ends: at a stop of its run, a shutdown of its worker, or the loss of its claim."""

from __future__ import annotations

import math
import time

from django_runbook.locks.held import HeldLock
from django_runbook.models.calls import StopLevel
from django_runbook.process.deadlines import Halt, wait_in_slices
from django_runbook.process.stopping import Stop


class CallHalt:
    """Combines the stop requests of the run, the signals of the worker, and the ownership of the call.

    At a shutdown of the worker, only a call that can be repeated stops, and another worker continues it. Like a run
    that was stopped, it may finish its item or batch, and is ended after ``grace_seconds``. The second signal to
    the worker, or the first one with ``ends_at_signal``, ends any call.
    """

    def __init__(
        self, *, stop: Stop, lock: HeldLock, is_repeatable: bool, grace_seconds: float, ends_at_signal: bool = False
    ) -> None:
        self.grace_seconds = grace_seconds
        self.level = StopLevel.NONE
        self.was_claim_lost = False
        self._stop = stop
        self._lock = lock
        self._is_repeatable = is_repeatable
        self._max_signals = 0 if ends_at_signal else 1
        self._shut_down_at = math.inf

    def note_shutdown(self) -> None:
        """Note that the worker is shutting down; later calls change nothing."""
        self._shut_down_at = min(self._shut_down_at, time.monotonic())

    @property
    def is_disowned(self) -> bool:
        """Return whether another process may own the call: the claim or the lock of the worker was lost."""
        return self.was_claim_lost or self._lock.is_lost

    @property
    def is_released(self) -> bool:
        """Return whether the worker, and not the run, ended the call, which another worker may continue."""
        return self._is_of_worker and self._is_repeatable and not self.level and not self.is_disowned

    @property
    def is_requested(self) -> bool:
        return self.is_disowned or bool(self.level) or self.is_released

    @property
    def is_immediate(self) -> bool:
        if self.is_disowned or self.level is StopLevel.IMMEDIATE or self._stop.request_count > self._max_signals:
            return True
        began_at = min(self._shut_down_at, self._stop.requested_at)
        return self.is_released and time.monotonic() >= began_at + self.grace_seconds

    @property
    def reason(self) -> str:
        if self.is_disowned:
            return "the run has given this call up"
        return "its worker was shut down" if self._is_of_worker and not self.level else "the run was stopped"

    def wait(self, seconds: float) -> bool:
        """Sleep; return True as soon as the end is requested."""
        return wait_in_slices(seconds, is_requested=lambda: self.is_requested, rest=self._stop.wait)

    def for_step(self) -> Halt:
        return self

    @property
    def _is_of_worker(self) -> bool:
        return self._stop.is_requested or not math.isinf(self._shut_down_at)
