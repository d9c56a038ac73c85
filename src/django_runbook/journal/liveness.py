"""A run that says that it is running to whether its process is there: it is as long as it holds its lock."""

from __future__ import annotations

import enum
from collections.abc import Callable, Sequence

from django_runbook.exceptions import RunbookError
from django_runbook.locks.base import Lock
from django_runbook.locks.file import FileLock
from django_runbook.models import RUNNING, Run
from django_runbook.results import RunStatus


class Life(enum.Enum):
    """``UNKNOWN`` is a run whose lock is kept where this process cannot see it, or cannot be asked now."""

    ENDED = "ended"
    AT_WORK = "at work"
    GONE = "gone"
    UNKNOWN = "unknown"


def can_be_told(lock: Lock) -> bool:
    """Whether a free lock says that its process is gone.

    The file of a lock stays when its process ends. Where it never was, the run took its lock on another host, or in the
    folder of another user, and that this one is free says nothing.
    """
    return not isinstance(lock, FileLock) or lock.path.exists()


def life_of(run: Run, new_lock: Callable[[str], Lock]) -> Life:
    """Whether the process of a run is at work, asked only of a run that says so."""
    return lives_of([run], new_lock)[run.pk]


def lives_of(runs: Sequence[Run], new_lock: Callable[[str], Lock]) -> dict[str, Life]:
    """The same of many runs, by their ids. A run that ended while it was asked is read anew."""
    lives = {run.pk: _ask(run, new_lock) for run in runs}
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


def shown_status(run: Run, life: Life) -> str:
    """The status as a person should see it: a run that died was interrupted."""
    return RunStatus.INTERRUPTED.value if life is Life.GONE else run.status


def _ask(run: Run, new_lock: Callable[[str], Lock]) -> Life:
    if run.status != RUNNING:
        return Life.ENDED
    try:
        lock = new_lock(run.lock_name)
        # Before it is taken, which would make its file, and everybody would hold the run for gone.
        if not can_be_told(lock):
            return Life.UNKNOWN
        if lock.acquire() is not None:
            return Life.AT_WORK
        lock.release()
    except RunbookError:
        return Life.UNKNOWN
    return Life.GONE
