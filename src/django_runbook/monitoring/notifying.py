"""Notifies the reporters of the project of runbooks that did not run when they were due."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Final

from django.core.cache import cache

from django_runbook import clock, conf
from django_runbook.configured_reporters import notify_of_error
from django_runbook.document.runbook import Runbook
from django_runbook.events import RunStarted
from django_runbook.monitoring.states import Problem, RunbookState, ScheduleState
from django_runbook.process import masking
from django_runbook.results import ExitCode, RunResult, RunStatus

# A failed run has notified of itself.
_NOTIFIED: Final = frozenset((ScheduleState.LATE, ScheduleState.MISSING, ScheduleState.STUCK, ScheduleState.INVALID))
# The same problem is not repeated for a day.
REPEAT_SECONDS: Final = 24 * 3600


def notify(states: Sequence[RunbookState], *, warn: Callable[[str], None]) -> None:
    """Notify of each problem once a day, as of a failed run."""
    configuration = conf.read()
    mask = masking.masker(configuration.hidden_values)
    for state in states:
        found = [problem for problem in state.problems if problem.state in _NOTIFIED]
        if found and cache.add(_cache_key(state, found[0]), "notified", REPEAT_SECONDS):
            text = "; ".join(problem.text for problem in found)
            notify_of_error(
                configuration,
                state.document,
                RunResult(status=RunStatus.FAILED, exit_code=ExitCode.FAILED, reason=text),
                key=state.runbook,
                started=_started(state, state.document),
                warn=warn,
                mask=mask,
            )


def _started(state: RunbookState, document: Runbook | None) -> RunStarted:
    name, file = (state.runbook, state.runbook) if document is None else (document.name, document.path)
    return RunStarted(at=clock.now(), run_id="", name=name, file=file, step_count=0)


def _cache_key(state: RunbookState, problem: Problem) -> str:
    # The name of a runbook may hold characters that a key of memcached cannot.
    text = f"{state.runbook}\n{problem.state.value}\n{problem.since}"
    return f"django_runbook.notified.{hashlib.sha256(text.encode()).hexdigest()}"
