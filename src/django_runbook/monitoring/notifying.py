"""Notifies the reporters of the project of runbooks that did not run when they were due."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from typing import Final

from django.core.cache import cache

from django_runbook import clock, conf
from django_runbook.configured_reporters import notify_of_error
from django_runbook.document.runbook import Runbook
from django_runbook.events import RunStarted
from django_runbook.exceptions import in_words
from django_runbook.monitoring.states import Problem, RunbookState, ScheduleState
from django_runbook.process import masking
from django_runbook.results import ExitCode, RunResult, RunStatus

# A failed run has notified of itself.
_NOTIFIED: Final = frozenset((ScheduleState.LATE, ScheduleState.MISSING, ScheduleState.STUCK, ScheduleState.INVALID))
# The same problem is not repeated for a day.
REPEAT_SECONDS: Final = 24 * 3600


def notify(states: Sequence[RunbookState], *, warn: Callable[[str], None]) -> None:
    """Notify of each problem once a day, as of a failed run; one that a reporter has failed on is new next time."""
    configuration = conf.read()
    mask = masking.masker(configuration.hidden_values)
    for state in states:
        found = [problem for problem in state.problems if problem.state in _NOTIFIED]
        new_keys = _remember([_cache_key(state, problem) for problem in found], warn=lambda text: warn(mask(text)))
        if not new_keys:
            continue
        failures: list[str] = []
        notify_of_error(
            configuration,
            state.document,
            RunResult(
                status=RunStatus.FAILED,
                exit_code=ExitCode.FAILED,
                reason="; ".join(problem.text for problem in found),
            ),
            key=state.runbook,
            started=_started(state, state.document),
            warn=failures.append,
            mask=mask,
        )
        for text in failures:
            warn(text)
        if failures:
            _forget(new_keys)


def _remember(keys: Sequence[str], *, warn: Callable[[str], None]) -> list[str]:
    """Return the keys that were not remembered; all of them if the cache does not answer."""
    try:
        return [key for key in keys if cache.add(key, "notified", REPEAT_SECONDS)]
    except Exception as error:  # noqa: BLE001 - each cache has errors of its own, and no alert may depend on them
        warn(f"reporters may be notified again, because the cache failed: {in_words(error)}")
        return [*keys]


def _forget(keys: Sequence[str]) -> None:
    # A cache that does not answer has been reported.
    with contextlib.suppress(Exception):
        cache.delete_many(keys)


def _started(state: RunbookState, document: Runbook | None) -> RunStarted:
    name, file = (state.runbook, state.runbook) if document is None else (document.name, document.path)
    return RunStarted(at=clock.now(), run_id="", name=name, file=file, step_count=0)


def _cache_key(state: RunbookState, problem: Problem) -> str:
    # The name of a runbook may hold characters that a key of memcached cannot.
    text = f"{state.runbook}\n{problem.state.value}\n{problem.since}"
    return f"django_runbook.notified.{hashlib.sha256(text.encode(errors='backslashreplace')).hexdigest()}"
