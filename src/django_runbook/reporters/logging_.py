"""Writes each event as one structured record of Python's logging, for the handlers of the project."""

from __future__ import annotations

import logging
from typing import Final

from django_runbook import events
from django_runbook.events import Event
from django_runbook.reporters import phrases
from django_runbook.reporters.jsonl import fields_of, name_of
from django_runbook.results import RunResult, RunStatus, StepResult

LOGGER: Final = "django_runbook"
_MANY: Final = (events.StepOutputWritten, events.StepProgress)
_LEVELS: Final = {
    RunStatus.SUCCEEDED: logging.INFO,
    RunStatus.WARNING: logging.WARNING,
    RunStatus.FAILED: logging.ERROR,
    RunStatus.INTERRUPTED: logging.ERROR,
    RunStatus.REFUSED: logging.ERROR,
}


class LoggingReporter:
    """Logs to ``logger``; each record has ``runbook_event``, ``runbook_name``, ``runbook_run_id`` and ``runbook_data``.

    Lines of output and progress are debug records; the level of other records follows from the status.
    """

    def __init__(self, *, logger: str = LOGGER) -> None:
        self._logger = logging.getLogger(logger)
        self._name = self._run_id = ""

    def __call__(self, event: Event) -> None:
        if isinstance(event, events.RunStarted):
            self._name, self._run_id = event.name, event.run_id
        level, text = _described(event)
        if not self._logger.isEnabledFor(level):
            return
        extra = {
            "runbook_event": name_of(type(event)),
            "runbook_name": self._name,
            "runbook_run_id": self._run_id,
            "runbook_data": fields_of(event),
        }
        self._logger.log(level, "%s: %s", phrases.one_line(self._name), phrases.one_line(text), extra=extra)

    def close(self) -> None:
        """Do nothing: the handlers belong to the project."""


def _described(event: Event) -> tuple[int, str]:
    match event:
        case events.RunFinished(result=result):
            return _level_of_run(result), f"{result.status.value}: {phrases.summary(result)}"
        case events.StepFinished(result=result):
            note = phrases.note(result)
            text = f"{phrases.timed(result)} {phrases.status(result)}"
            return _level_of_step(result), f"{text}: {note}" if note else text
        case events.AttemptFailed():
            return logging.WARNING, f"{event.step_id}: {phrases.attempt(event)}"
        case events.StepOutputWritten():
            return logging.DEBUG, f"{event.step_id}: {event.line}"
        case events.StopRequested():
            return logging.WARNING, phrases.stopping(event)
        case events.LockAwaited() | events.HistoryAwaited():
            return logging.WARNING, f"waiting: {phrases.waiting(event)}"
        case events.UnusualNoticed() | events.LockRetaken():
            return logging.WARNING, phrases.warning(event)
        case events.RunStarted():
            return logging.INFO, phrases.opening(event)
    step_id = getattr(event, "step_id", "")
    name = name_of(type(event)).replace("_", " ")
    return logging.DEBUG if isinstance(event, _MANY) else logging.INFO, f"{step_id}: {name}" if step_id else name


def _level_of_run(result: RunResult) -> int:
    is_allowed = result.status is RunStatus.REFUSED and not result.exit_code
    return logging.INFO if is_allowed else _LEVELS[result.status]


def _level_of_step(result: StepResult) -> int:
    if result.is_failure:
        return logging.WARNING if result.ignored else logging.ERROR
    return logging.WARNING if result.warnings else logging.INFO
