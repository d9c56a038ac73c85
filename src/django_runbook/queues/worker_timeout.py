"""Notices on the host of the run that a worker has let the timeout of a call pass: it hangs, but has its lock."""

from __future__ import annotations

import time
from typing import Final

from django_runbook.executors.base import ExecutorCall
from django_runbook.models.calls import Call, CallStatus
from django_runbook.process.deadlines import Deadline, Limit
from django_runbook.structs import MutableStruct

# A worker may wait for a new interpreter before the timeout begins, and for the database after its end.
_OVERDUE_SECONDS: Final = 120.0


class WorkerTimeout(MutableStruct):
    """Measures the timeout of a call from when this host sees a claim, since the clocks of hosts differ.

    ``row`` is kept up to date by the thread that watches it.
    """

    row: Call
    call: ExecutorCall
    grace_seconds: float
    _claim: str = ""
    _claimed_at: float = 0.0

    @property
    def is_overdue(self) -> bool:
        """Return whether the worker should have ended the command long ago."""
        seconds = self.call.timeout_seconds
        if seconds is None or self.row.status != CallStatus.RUNNING:
            self._claim = ""
            return False
        now = time.monotonic()
        if self.row.claim != self._claim:
            self._claim, self._claimed_at = self.row.claim, now
        return now >= self._claimed_at + seconds + self.grace_seconds + _OVERDUE_SECONDS

    @property
    def expired_limit(self) -> Limit:
        """Return the limit of the call with its timeout as a deadline that has passed."""
        limit, seconds = self.call.limit, self.call.timeout_seconds or 0.0
        expired = Deadline(at=limit.clock.now(), seconds=seconds, owner=self.call.owner)
        return Limit(deadlines=(*limit.deadlines, expired), clock=limit.clock)
