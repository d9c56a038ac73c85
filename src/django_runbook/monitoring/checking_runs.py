"""Checks the runs of the runbooks of a project against their schedules."""

from __future__ import annotations

import datetime
from collections.abc import Collection, Iterator
from pathlib import Path

from django_runbook import checking, clock, conf, lookup
from django_runbook.checking import Loaded
from django_runbook.document.diagnostics import has_errors
from django_runbook.locks import factory
from django_runbook.monitoring.history import read_runs
from django_runbook.monitoring.states import Limits, Problem, RunbookState, ScheduleState, problems_of
from django_runbook.schedules.times import next_due


def check_runs(
    files: Collection[str] = (), *, limits: Limits, now: datetime.datetime | None = None
) -> list[RunbookState]:
    """Return the state of these runbooks, or of all that the project has with a schedule.

    Raises InvalidUsage if a file is not there or a setting is wrong, and a database error if the history is not.
    """
    configuration = conf.read()
    now = clock.now() if now is None else now
    locks = factory.new_factory(configuration, what="check_runs")
    using = conf.journal_alias()
    found = []
    for path, loaded in _loaded(files, configuration):
        key = lookup.key_of(path, configuration)
        runbook = loaded.runbook
        if runbook is None or has_errors(loaded.diagnostics):
            text = f"{loaded.path} has errors, which check_runbooks shows"
            found.append(RunbookState(runbook=key, problems=(Problem(ScheduleState.INVALID, text),)))
            continue
        runs = read_runs(key, using=using, locks=locks)
        schedule = runbook.schedule
        found.append(
            RunbookState(
                runbook=key,
                document=runbook,
                problems=problems_of(
                    schedule, runs, now=now, limits=limits, known_since=_changed_at(path) if not runs else None
                ),
                last_started_at=runs[0].started_at if runs else None,
                last_success_at=next((run.started_at for run in runs if run.is_fine), None),
                next_due_at=None if schedule is None else next_due(schedule, after=now),
            )
        )
    return found


def _loaded(files: Collection[str], configuration: conf.Configuration) -> Iterator[tuple[Path, Loaded]]:
    """Yield the named runbooks; or those with a schedule, and those that cannot be read and may have one."""
    if files:
        for name in files:
            path, label = lookup.find(name, configuration)
            yield path, checking.load(path, name=label, configuration=configuration)
        return
    for path in lookup.find_all(configuration):
        if not _may_have_schedule(path):
            continue
        loaded = checking.load(path, name=lookup.label(path), configuration=configuration)
        if loaded.runbook is None or loaded.runbook.schedule is not None or has_errors(loaded.diagnostics):
            yield path, loaded


def _may_have_schedule(path: Path) -> bool:
    """Return whether the file has the word at all: reading every runbook of a project would take long."""
    try:
        return b"schedule" in path.read_bytes()
    except OSError:
        return True


def _changed_at(path: Path) -> datetime.datetime:
    """Return when the file was changed or deployed."""
    return datetime.datetime.fromtimestamp(path.stat().st_mtime, datetime.UTC)
