"""Finds the run to resume: by the beginning of its id, or the newest run of a runbook."""

from __future__ import annotations

from typing import Final

from django.db import Error

from django_runbook.exceptions import InvalidUsage, JournalLost
from django_runbook.journal import unreadable
from django_runbook.models import RUNNING, UNFINISHED, Run
from django_runbook.results import RunStatus

_SHOWN_RUNS: Final = 5
_NEW_RUN: Final = "start a new run, without --resume"


def find_unfinished(runbook: str, id_prefix: str, *, using: str, is_lock_held: bool = False) -> Run:
    """Find the run whose id begins with ``id_prefix``; without a prefix, the newest run that had begun.

    With ``is_lock_held`` this process holds the lock of the run, so no other process is about to begin it.
    """
    try:
        run = _by_prefix(runbook, id_prefix, using=using) if id_prefix else _newest(runbook, using=using)
        _refuse_finished(run, names_older=not id_prefix, using=using)
        if is_lock_held or run.status != RUNNING:
            _refuse_not_begun(run, using=using)
    except Error as error:
        why = unreadable.reason(error, using=using)
        if unreadable.has_no_tables(using):
            raise InvalidUsage(f"nothing to resume: {why}; {_NEW_RUN}") from error
        raise JournalLost(why, what=unreadable.CANNOT_BE_READ) from error
    return run


def _by_prefix(runbook: str, id_prefix: str, *, using: str) -> Run:
    found = list(Run.objects.using(using).filter(pk__startswith=id_prefix).newest_first()[: _SHOWN_RUNS + 1])
    if not found:
        raise InvalidUsage(f"no run has an id that begins with {id_prefix}")
    if len(found) > 1:
        ids = ", ".join(run.id for run in found[:_SHOWN_RUNS])
        raise InvalidUsage(f"several runs have an id that begins with {id_prefix}: {ids}")
    if found[0].runbook != runbook:
        raise InvalidUsage(f"run {found[0].id} belongs to {found[0].runbook}, not to {runbook}")
    return found[0]


def _newest(runbook: str, *, using: str) -> Run:
    runs = Run.objects.using(using).of(runbook).newest_first()
    run = runs.begun().first()
    if run is not None:
        return run
    last = runs.first()
    if last is None:
        raise InvalidUsage(f"no run of {runbook} can be resumed")
    state = "was refused" if last.status == RunStatus.REFUSED else "had not begun"
    raise InvalidUsage(f"no run of {runbook} can be resumed: the newest run, {last.id}, {state}; {_NEW_RUN}")


def _refuse_finished(run: Run, *, names_older: bool, using: str) -> None:
    if run.status == RunStatus.REFUSED:
        raise InvalidUsage(f"run {run.id} was refused before any step began: {_NEW_RUN} ({run.reason})")
    if run.status in {RUNNING, *UNFINISHED}:
        return
    ended = "ended with a warning" if run.status == RunStatus.WARNING else f"has {run.status}"
    message = f"run {run.id} {ended} and cannot be resumed"
    older = Run.objects.using(using).of(run.runbook).unfinished().newest_first()[:_SHOWN_RUNS]
    if names_older and older:
        message += "; older unfinished runs: " + ", ".join(f"--resume {one.id}" for one in older)
    raise InvalidUsage(message)


def _refuse_not_begun(run: Run, *, using: str) -> None:
    if not Run.objects.using(using).begun().filter(pk=run.pk).exists():
        why = f" ({run.reason})" if run.reason else ""
        raise InvalidUsage(f"run {run.id} ended before any step began: {_NEW_RUN}{why}")
