"""Tell whether the process of a run that says that it is running is there: it is as long as it holds its lock."""

from __future__ import annotations

import enum
from collections.abc import Sequence

from django.db.models import Q, QuerySet

from django_runbook.exceptions import RunbookError
from django_runbook.fields import to_db_text
from django_runbook.locks.base import Probe
from django_runbook.locks.factory import Locks
from django_runbook.models import RUNNING, Run
from django_runbook.results import RunStatus

# At most so many runs that say that they are running are asked about for a filter.
_MAX_ASKED = 200


class Life(enum.Enum):
    """Says whether the process of a run is there.

    ``UNKNOWN`` is a run whose lock is kept where this process cannot see it, or cannot be asked about now.
    """

    ENDED = "ended"
    AT_WORK = "at work"
    GONE = "gone"
    UNKNOWN = "unknown"


_LIVES = {Probe.HELD: Life.AT_WORK, Probe.FREE: Life.GONE, Probe.UNKNOWN: Life.UNKNOWN}


def life_of(run: Run, locks: Locks) -> Life:
    """Return whether the process of a run is at work, asked only if the run says so."""
    return lives_of([run], locks)[run.pk]


def lives_of(runs: Sequence[Run], locks: Locks) -> dict[str, Life]:
    """Return the same of many runs, by their ids. A run that ended while it was asked about is read again."""
    lives = {run.pk: _ask(run, locks) for run in runs}
    free = [run for run in runs if lives[run.pk] in {Life.GONE, Life.UNKNOWN}]
    if not free:
        return lives
    ended = Run.objects.using(free[0]._state.db).filter(pk__in=[run.pk for run in free]).exclude(status=RUNNING)
    keys = set(ended.values_list("pk", flat=True))
    for run in free:
        if run.pk in keys:
            run.refresh_from_db()
            lives[run.pk] = Life.ENDED
    return lives


def is_seen_from_here(run: Run, locks: Locks) -> bool:
    """Return whether these locks are those that the run uses: others are free, whether it lives or not."""
    return run.lock_backend == to_db_text(locks.identity)


def shown_status(run: Run, life: Life) -> str:
    """Return the status as a person should see it: a run that died was interrupted."""
    return RunStatus.INTERRUPTED.value if life is Life.GONE else run.status


def with_status(runs: QuerySet[Run], status: str, locks: Locks) -> QuerySet[Run]:
    """Keep the runs that are shown with this status."""
    if status not in {RUNNING, RunStatus.INTERRUPTED.value}:
        return runs.filter(status=status)
    claims = list(Run.objects.using(runs.db).filter(status=RUNNING).newest_first()[:_MAX_ASKED])
    gone = [pk for pk, life in lives_of(claims, locks).items() if life is Life.GONE]
    if status == RUNNING:
        return runs.filter(status=RUNNING).exclude(pk__in=gone)
    return runs.filter(Q(status=status) | Q(pk__in=gone))


def _ask(run: Run, locks: Locks) -> Life:
    if run.status != RUNNING:
        return Life.ENDED
    try:
        return _LIVES[locks(run.lock_name).probe()] if is_seen_from_here(run, locks) else Life.UNKNOWN
    except RunbookError:
        return Life.UNKNOWN
