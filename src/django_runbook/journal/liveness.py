"""Determines whether the process of a running run is alive: it holds the lock of the run until it ends."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from django.db.models import Q, QuerySet

from django_runbook.exceptions import RunbookError
from django_runbook.locks.base import Probe
from django_runbook.locks.factory import Locks
from django_runbook.models import RUNNING, Run
from django_runbook.models.fields import to_db_text
from django_runbook.results import RunStatus

# The filter for a status checks the locks of at most this many runs.
_MAX_PROBED = 200


class ProcessState(enum.Enum):
    """Describes the process of a run: ``DEAD`` if the process died before it recorded the end of the run.

    The state is ``UNKNOWN`` if this process cannot see the lock of the run, or cannot reach the lock store now.
    """

    ENDED = "ended"
    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


_STATES = {
    Probe.HELD: ProcessState.ALIVE,
    Probe.FREE: ProcessState.DEAD,
    Probe.UNKNOWN: ProcessState.UNKNOWN,
}


def process_state_of(run: Run, locks: Locks) -> ProcessState:
    """Return the state of the process of a run; the lock is probed only if the row says that it is running."""
    return process_states_of([run], locks)[run.pk]


def process_states_of(runs: Sequence[Run], locks: Locks) -> dict[str, ProcessState]:
    """Return the states of many runs, by their ids. A run that ended during the probe is read again."""
    states = {run.pk: _probe(run, locks) for run in runs}
    free = [run for run in runs if states[run.pk] in {ProcessState.DEAD, ProcessState.UNKNOWN}]
    if not free:
        return states
    ended = Run.objects.using(free[0]._state.db).filter(pk__in=[run.pk for run in free]).exclude(status=RUNNING)
    keys = set(ended.values_list("pk", flat=True))
    for run in free:
        if run.pk in keys:
            run.refresh_from_db()
            states[run.pk] = ProcessState.ENDED
    return states


def is_lock_visible(run: Run, locks: Locks) -> bool:
    """Return whether the lock of the run is in this lock store; another store proves nothing."""
    return run.lock_backend == to_db_text(locks.identity)


def displayed_status(run: Run, state: ProcessState) -> str:
    """Return the status to display: a run whose process died was interrupted."""
    return RunStatus.INTERRUPTED.value if state is ProcessState.DEAD else run.status


def with_displayed_status(runs: QuerySet[Run], status: str, locks: Locks) -> QuerySet[Run]:
    """Keep the runs that are displayed with this status."""
    if status not in {RUNNING, RunStatus.INTERRUPTED.value}:
        return runs.filter(status=status)
    claims = list(Run.objects.using(runs.db).filter(status=RUNNING).newest_first()[:_MAX_PROBED])
    dead = [pk for pk, state in process_states_of(claims, locks).items() if state is ProcessState.DEAD]
    if status == RUNNING:
        return runs.filter(status=RUNNING).exclude(pk__in=dead)
    return runs.filter(Q(status=status) | Q(pk__in=dead))


def _probe(run: Run, locks: Locks) -> ProcessState:
    if run.status != RUNNING:
        return ProcessState.ENDED
    try:
        return _STATES[locks(run.lock_name).probe()] if is_lock_visible(run, locks) else ProcessState.UNKNOWN
    except RunbookError:
        return ProcessState.UNKNOWN
