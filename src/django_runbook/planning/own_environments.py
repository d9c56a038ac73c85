"""Checks the commands that have environment variables of their own, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator

from django_runbook.document.diagnostics import Diagnostic, diagnose
from django_runbook.document.outline import Entry, path_of, queue_of, steps_around
from django_runbook.document.runbook import CommandStep
from django_runbook.planning.plan import Plan
from django_runbook.process import isolation
from django_runbook.process.django_internals import is_django_test_run


def check_own_environments(planned: Plan, obstacle: str | None) -> Iterator[Diagnostic]:
    """Report each command with ``env`` that cannot be started.

    ``obstacle`` is what forces all steps of a run into its process; it is None for a check, of every run.
    """
    found = [entry for entry in planned.outline.values() if isinstance(entry.step, CommandStep) and entry.step.env]
    if not found:
        return
    # Most runs do not need it.
    from django_runbook.process import manage_script

    is_check = obstacle is None
    if obstacle is None:
        # The databases of a test are not those of a run.
        obstacle = "" if is_django_test_run() else isolation.lasting_obstacle()
    for entry in found:
        if obstacle:
            message = f'a command with "env" needs a process of its own, but all steps run in one process: {obstacle}'
            yield _diagnose(entry, planned, message, 'set the variables before the run starts, and remove "env"')
        elif not is_check and not _is_queued(entry, planned) and manage_script.find() is None:
            message = 'manage.py was not found, which starts a command with "env"'
            yield _diagnose(entry, planned, message, "start the run with manage.py, or put manage.py into BASE_DIR")


def _is_queued(entry: Entry, planned: Plan) -> bool:
    # A worker looks for its own manage.py.
    return queue_of(entry.step, steps_around(entry, planned.outline)) is not None


def _diagnose(entry: Entry, planned: Plan, message: str, help_text: str) -> Diagnostic:
    step = entry.step
    assert isinstance(step, CommandStep)
    path = path_of(entry, planned.outline)
    return diagnose("RB424", message=message, span=step.env[0].name_span, help_text=help_text, path=path)
