"""Finds the calls that keep a lock taken: workers continue the calls of a run that died, and whose locks are free."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from django_runbook.calls import OPEN, Call, CallStatus
from django_runbook.journal.listener import Journal
from django_runbook.locks.base import Holder, Probe, since_text
from django_runbook.locks.factory import Locks
from django_runbook.queues.call_liveness import probe_worker
from django_runbook.structs import Struct

# The processes of a killed worker end in between two probes.
_BETWEEN_PROBES_SECONDS: Final = 2.0
_COLUMNS: Final = ("id", "run_id", "status", "claim", "worker", "host", "pid", "claimed_at", "lock_names", "is_hidden")


class CallsUnderLock(Struct):
    """Finds the calls of other runs under a lock, with the connection of the journal.

    ``rest`` sleeps, and returns True to end the wait.
    """

    journal: Journal
    new_lock: Locks
    rest: Callable[[float], bool]

    def holder_of(self, name: str) -> Holder | None:
        """Return the worker that runs a call of another run under the lock; None if there is none.

        This process has the lock, so no call begins under it any more: queued ones are cancelled.
        """
        running = self.journal.ask(lambda alias: _take_queued(name, run_id=self.journal.run_id, using=alias)) or []
        for call in running:
            if not self._end(call):
                since = "" if call.claimed_at is None else since_text(int(call.claimed_at.timestamp()))
                return Holder(host=call.host, pid=call.pid or 0, since=since, what=f"a call of run {call.run_id[:8]}")
        return None

    def _end(self, call: Call) -> bool:
        """Mark a call as dead if its worker died; return whether it was."""
        return self._is_dead(call) and bool(self.journal.ask(lambda alias: call.mark_dead(using=alias)))

    def _is_dead(self, call: Call) -> bool:
        return self._is_free(call) and not self.rest(_BETWEEN_PROBES_SECONDS) and self._is_free(call)

    def _is_free(self, call: Call) -> bool:
        return probe_worker(call.worker, self.new_lock) is Probe.FREE


def _take_queued(name: str, *, run_id: str, using: str) -> list[Call]:
    """Cancel the queued calls of other runs under a lock; return the running ones."""
    rows = Call.objects.using(using).filter(status__in=OPEN).exclude(run_id=run_id).only(*_COLUMNS)
    while True:
        under = [one for one in rows.order_by("queued_at") if name in one.lock_names]
        queued = [one for one in under if one.status == CallStatus.QUEUED]
        if not queued:
            return under
        # A worker may be faster, and may return a call to the queue.
        for call in queued:
            call.cancel(using=using)
