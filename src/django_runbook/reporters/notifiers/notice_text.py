"""Writes a notice as text: a title of one line, and a summary with the failed steps and how to continue."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Final

from django_runbook import wording
from django_runbook.events import RunStarted
from django_runbook.reporters import phrases
from django_runbook.reporters.notifiers.notices import Notice
from django_runbook.results import Occasion, RunResult, RunStatus, StepResult

MAX_STEPS: Final = 20
_ENDINGS: Final = {
    RunStatus.SUCCEEDED: "succeeded",
    RunStatus.WARNING: "ended with a warning",
    RunStatus.FAILED: "failed",
    RunStatus.INTERRUPTED: "was stopped",
    RunStatus.REFUSED: "was refused",
}


def title_of(notice: Notice) -> str:
    """Return the notice in one line."""
    name = phrases.one_line(notice.run.name)
    if notice.result is None:
        return f"{name} is unusual: {phrases.one_line(notice.text)}" if notice.text else f"{name} has started"
    if Occasion.RECOVERY in notice.occasions:
        warning = ", with a warning" if notice.result.status is RunStatus.WARNING else ""
        return f"{name} has recovered{warning}"
    return f"{name} {_ENDINGS[notice.result.status]}" if notice.run.run_id else f"{name} did not start"


def summary_of(notice: Notice) -> str:
    """Return the notice in several lines."""
    lines = [title_of(notice)]
    if notice.result is not None:
        lines += [_of_run(notice.result, notice.run), *_steps(notice.result)]
        lines += [f"warning: {warning}" for warning in notice.result.warnings]
    of = f"run {wording.short_id(notice.run.run_id)}" if notice.run.run_id else "no run"
    attempt = f", attempt {notice.run.attempt}" if notice.run.attempt > 1 else ""
    lines += ["", f"{of}{attempt} of {notice.run.file} on {host()}"]
    if notice.result is not None and notice.result.resume_command:
        lines.append(f"resume with: {notice.result.resume_command}")
    return "\n".join(lines) + "\n"


def failed_steps(result: RunResult) -> list[StepResult]:
    """Return the steps that failed, without the groups that failed because of a step inside."""
    return [step for step in result.steps if step.is_failure and not phrases.is_caused_inside(step)]


def host() -> str:
    """Return the name of this host."""
    return socket.gethostname()


def _of_run(result: RunResult, run: RunStarted) -> str:
    return phrases.summary(result) if run.run_id else f"exit code {result.exit_code}: {result.reason}"


def _steps(result: RunResult) -> Iterator[str]:
    failed = failed_steps(result)
    for step in failed[:MAX_STEPS]:
        yield ""
        yield f"{phrases.status(step)}: {phrases.one_line(phrases.timed(step))}"
        yield from (f"  {line}" for line in phrases.explanation(step).splitlines())
    if len(failed) > MAX_STEPS:
        yield f"and {wording.number_of(len(failed) - MAX_STEPS, 'other step')}"
