"""Finds the calls that keep a lock taken: workers continue the calls of a run that died, and whose locks are free."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import QuerySet

from django_runbook.locks.base import Holder
from django_runbook.models.calls import Call
from django_runbook.queues.call_ending import CallEnding, holder_of


def holder_under_lock(name: str, ending: CallEnding) -> Holder | None:
    """Return the worker that runs a call of another run under the lock; None if there is none.

    This process has the lock, so no call begins under it any more: queued ones are cancelled.
    """

    def under_lock(calls: QuerySet[Call]) -> Iterator[Call]:
        return (one for one in calls.exclude(run_id=ending.journal.run_id) if name in one.lock_names)

    running = ending.first_running(under_lock)
    return None if running is None else holder_of(running)
