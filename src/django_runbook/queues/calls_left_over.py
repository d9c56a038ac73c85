"""Ends the calls of an earlier attempt of the run that no step of this attempt continues, such as those of handlers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Final

from django.db.models import QuerySet

from django_runbook.exceptions import LockHeld
from django_runbook.models.calls import Call
from django_runbook.queues.call_ending import CallEnding, holder_of

_POLL_SECONDS: Final = 1.0


def end_left_over(continued: Collection[str], ending: CallEnding, *, on_wait: Callable[[str], None]) -> None:
    """Cancel the queued calls of the run, and wait for those that run, except for the ids in ``continued``.

    ``on_wait`` is called once for each call that the run waits for. Raise LockHeld if the wait is ended.
    """

    def left_over(calls: QuerySet[Call]) -> Iterable[Call]:
        return (one for one in calls.filter(run_id=ending.journal.run_id) if one.pk not in continued)

    reported: set[str] = set()
    while (call := ending.first_running(left_over)) is not None:
        text = f'step "{call.step_id}" still runs on a worker: {holder_of(call)}'
        if call.pk not in reported:
            reported.add(call.pk)
            on_wait(text)
        if ending.rest(_POLL_SECONDS):
            raise LockHeld(text)
