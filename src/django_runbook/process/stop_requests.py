"""Counts the requests to stop a run, and decides when the current command must end."""

from __future__ import annotations

import math
import signal
import threading
import time
from typing import Final

from django_runbook.process.deadlines import Halt
from django_runbook.process.stop_reports import OnStop, StopReports

STOPPED: Final = "the run was stopped"
# Supervisors signal a whole group, and terminals send SIGHUP and SIGTERM together: these count as one signal.
_SAME_SECONDS: Final = 0.5
# Twenty signals within a second are a second request, but not a third.
_LATER_SECONDS: Final = 1.0


class StopRequests:
    """Stops a run, once a signal or another process has requested it."""

    def __init__(self, *, timeout_seconds: float, grace_seconds: float) -> None:
        self.signal_number: int | None = None
        self.on_stop: OnStop | None = None
        self.timeout_seconds = timeout_seconds
        self.request_count = 0
        self.requested_at = math.inf
        self.ends_immediately = False
        self._grace_seconds = grace_seconds
        self._counted_at = -math.inf
        self._event = threading.Event()
        self._reports = StopReports()

    @property
    def is_requested(self) -> bool:
        return self.request_count > 0

    @property
    def is_immediate(self) -> bool:
        return self.is_due(since=-math.inf, request_count=0)

    @property
    def grace_seconds(self) -> float:
        return self._grace_seconds

    @property
    def reason(self) -> str:
        return STOPPED

    @property
    def exit_code(self) -> int:
        """Return the exit code of a stopped process: 128 plus the number of the signal."""
        return 128 + (self.signal_number or signal.SIGINT)

    @property
    def signal_name(self) -> str:
        return signal.Signals(self.signal_number or signal.SIGTERM).name

    def wait(self, seconds: float) -> bool:
        """Sleep; return True immediately when a stop is requested."""
        return self._event.wait(seconds)

    def for_step(self) -> Halt:
        return self

    def wait_for_reports(self) -> None:
        """Wait until ``on_stop`` has returned, so that a summary follows the signals that led to it."""
        self._reports.wait()

    def is_due(self, *, since: float, request_count: int) -> bool:
        """Return whether to end something that began at ``since`` (monotonic), after this many requests."""
        if not self.is_requested:
            return False
        is_requested_again = self.ends_immediately or self.request_count > max(1, request_count)
        return is_requested_again or time.monotonic() >= max(self.requested_at, since) + self.timeout_seconds

    def count(self, number: int) -> None:
        """Count a signal, unless it belongs to the previous one."""
        now = time.monotonic()
        gap_seconds = _SAME_SECONDS if self.request_count < 2 else _LATER_SECONDS
        if now - self._counted_at < gap_seconds:
            return
        self._counted_at = now
        if not self.request_count:
            self.signal_number, self.requested_at = number, now
            # A signal is reported before it takes effect.
            self.report(is_immediate=False)
        self.request_count += 1
        self._event.set()

    def report(self, *, is_immediate: bool) -> None:
        """Call ``on_stop`` in another thread."""
        self._reports.send(self.on_stop, self.signal_name, is_immediate=is_immediate)
