"""Finds the calls whose worker has died: it holds a lock as long as it lives."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Final

from django_runbook.exceptions import LockUnavailable
from django_runbook.locks.base import Probe
from django_runbook.locks.factory import Locks
from django_runbook.models.calls import Call, CallStatus, worker_lock_name

_QUIET_SECONDS: Final = 2.0
# One lock in each poll at most: with many silent workers, a death is noticed later.
_PROBES: Final = 1


class CallLiveness:
    """Probes the locks of workers whose calls have not changed for a while, each at most every two seconds.

    A worker is dead once its lock was free twice in a row: the processes of a killed worker end in between.
    """

    def __init__(self, new_lock: Locks) -> None:
        self._new_lock = new_lock
        self._changed_at: dict[str, float] = {}
        self._probed_at: dict[str, float] = {}
        self._free: set[str] = set()

    def note_change(self, row: Call) -> None:
        """Note that the row of a call has changed, so its worker lived a moment ago."""
        self._changed_at[row.pk] = time.monotonic()
        self._free.discard(row.worker)

    def dead_among(self, calls: Sequence[Call]) -> Iterator[Call]:
        """Yield the calls whose worker has died."""
        now = time.monotonic()
        quiet = [
            one
            for one in calls
            if one.status == CallStatus.RUNNING and now - self._changed_at.get(one.pk, now) >= _QUIET_SECONDS
        ]
        due = {one.worker for one in quiet if self._is_due(one.worker, now)}
        for worker in sorted(due, key=lambda one: self._probed_at.get(one, 0.0))[:_PROBES]:
            self._probed_at[worker] = now
            if self._is_free(worker):
                yield from (one for one in quiet if one.worker == worker)

    def _is_due(self, worker: str, now: float) -> bool:
        return now - self._probed_at.get(worker, -_QUIET_SECONDS) >= _QUIET_SECONDS

    def _is_free(self, worker: str) -> bool:
        is_free = probe_worker(worker, self._new_lock) is Probe.FREE
        was_free = worker in self._free
        (self._free.add if is_free else self._free.discard)(worker)
        return is_free and was_free


def probe_worker(worker: str, new_lock: Locks) -> Probe:
    """Return whether the lock of a worker is held; UNKNOWN also if the lock store is not available."""
    try:
        return new_lock(worker_lock_name(worker)).probe()
    except LockUnavailable:
        return Probe.UNKNOWN
