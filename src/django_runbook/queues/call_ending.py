"""Ends the calls that nobody waits for any more: cancels the queued ones, and finds those that still run."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

from django.db.models import QuerySet

from django_runbook.journal.listener import Journal
from django_runbook.locks.base import Holder, Probe, since_text
from django_runbook.locks.factory import Locks
from django_runbook.models.calls import OPEN, Call, CallStatus
from django_runbook.queues.call_liveness import probe_worker
from django_runbook.structs import Struct

# Selects from all open calls.
Select = Callable[[QuerySet[Call]], Iterable[Call]]
# The processes of a killed worker end in between two probes.
_BETWEEN_PROBES_SECONDS: Final = 2.0
_COLUMNS: Final = (
    *("id", "run_id", "step_id", "status", "claim", "worker", "host", "pid", "claimed_at"),
    *("lock_names", "is_hidden"),
)


class CallEnding(Struct):
    """Ends calls with the connection of the journal.

    ``rest`` sleeps, and returns True to end the wait.
    """

    journal: Journal
    new_lock: Locks
    rest: Callable[[float], bool]

    def first_running(self, select: Select) -> Call | None:
        """Cancel the selected calls that are queued, mark those as dead whose worker died, and return one that runs.

        Return None if there is none left.
        """
        while running := self.journal.ask(lambda alias: take_queued(select, using=alias)):
            alive = self._first_alive(running)
            if alive is not None:
                return alive
            if self.rest(_BETWEEN_PROBES_SECONDS):
                return running[0]
            alive = self._first_alive(running)
            if alive is not None:
                return alive
            # A call that its worker has returned to the queue since is not marked, and is cancelled by the next round.
            self.journal.ask(partial(_mark_dead, running))
        return None

    def _first_alive(self, calls: Iterable[Call]) -> Call | None:
        is_free = {
            worker: probe_worker(worker, self.new_lock) is Probe.FREE for worker in {one.worker for one in calls}
        }
        return next((one for one in calls if not is_free[one.worker]), None)


def take_queued(select: Select, *, using: str) -> list[Call]:
    """Cancel the selected calls that are queued; return the running ones."""
    rows = Call.objects.using(using).filter(status__in=OPEN).only(*_COLUMNS).order_by("queued_at")
    while True:
        found = list(select(rows.all()))
        queued = [one for one in found if one.status == CallStatus.QUEUED]
        if not queued:
            return found
        # A worker may be faster, and may return a call to the queue.
        for call in queued:
            call.cancel(using=using)


def _mark_dead(calls: Iterable[Call], alias: str) -> None:
    for call in calls:
        call.mark_dead(using=alias)


def holder_of(call: Call) -> Holder:
    """Return the worker that runs a call, as the holder of what the call keeps taken."""
    since = "" if call.claimed_at is None else since_text(int(call.claimed_at.timestamp()))
    return Holder(host=call.host, pid=call.pid or 0, since=since, what=f"a call of run {call.run_id[:8]}")
