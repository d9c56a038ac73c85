"""A run that says that it is running to whether its process lives: it does as long as it holds its lock."""

from __future__ import annotations

from collections.abc import Callable

from django_runbook.locks.base import Lock
from django_runbook.locks.file import FileLock
from django_runbook.models import RUNNING, Run
from django_runbook.results import RunStatus


def can_be_told(lock: Lock) -> bool:
    """Whether a free lock says that its process is gone.

    The file of a lock stays when its process ends. Where it never was, the run took its lock on another host, or in the
    folder of another user, and that this one is free says nothing.
    """
    return not isinstance(lock, FileLock) or lock.path.exists()


def is_alive(run: Run, new_lock: Callable[[str], Lock]) -> bool:
    """Whether the process of a run is at work."""
    if run.status != RUNNING:
        return False
    lock = new_lock(run.lock_name)
    if lock.acquire() is not None:
        return True
    lock.release()
    return False


def status_of(run: Run, new_lock: Callable[[str], Lock]) -> str:
    """The status as a person should see it: a run that died was interrupted."""
    if run.status != RUNNING:
        return run.status
    if not can_be_told(new_lock(run.lock_name)) or is_alive(run, new_lock):
        return run.status
    # It may have ended well while it was asked, and have taken its lock away.
    run.refresh_from_db()
    return RunStatus.INTERRUPTED.value if run.status == RUNNING else run.status
