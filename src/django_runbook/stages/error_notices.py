"""Notifies the reporters of a project of a run that never began, for example because its file is invalid."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from django_runbook import clock, conf
from django_runbook.events import RunStarted
from django_runbook.exceptions import InvalidUsage, RunbookError
from django_runbook.process import masking
from django_runbook.process.streams import clean_text
from django_runbook.results import RunResult, RunStatus
from django_runbook.stages.stage_results import Launch, Opened


@contextlib.contextmanager
def notified_errors(launch: Launch) -> Iterator[list[Opened]]:
    """Notify of an error before the run begins, unless a person sees it at a terminal.

    The caller adds the opened file to the list, as soon as there is one.
    """
    opened: list[Opened] = []
    try:
        yield opened
    except RunbookError as error:
        stream = launch.console.question_stream
        if not launch.request.dry_run and not (stream is not None and stream.isatty()):
            _notify(error, launch, opened[0] if opened else None)
        raise


def _notify(error: RunbookError, launch: Launch, opened: Opened | None) -> None:
    try:
        configuration = conf.read()
    except InvalidUsage:
        # The reporters are unknown.
        return
    if not configuration.reporters:
        return
    # Only a project with reporters needs it.
    from django_runbook.configured_reporters import notify_of_error

    console, file = launch.console, launch.request.file
    mask = masking.masker(configuration.hidden_values) if opened is None else console.mask
    notify_of_error(
        configuration,
        None if opened is None else opened.runbook,
        RunResult(status=RunStatus.FAILED, exit_code=error.exit_code, reason=clean_text(str(error), mask)),
        key="" if opened is None else opened.key,
        started=RunStarted(
            at=clock.now(),
            run_id="",
            name=Path(file).stem if opened is None else opened.runbook.name,
            file=file if opened is None else opened.loaded.path,
            step_count=0,
        ),
        warn=console.warn,
        mask=mask,
    )
