"""Says how to resume a run that failed or was stopped, and counts what earlier attempts have completed."""

from __future__ import annotations

from typing import Final

from django_runbook import wording
from django_runbook.results import Role, RunResult, RunStatus, StepResult, StepStatus
from django_runbook.runner.past import Past
from django_runbook.structs import replace

_ENDS: Final = {
    RunStatus.FAILED: "failed",
    RunStatus.INTERRUPTED: "was stopped",
    RunStatus.REFUSED: "was refused",
}
# The journal counts a run as begun by the same rule: see RunQuerySet.begun.
_ENDED: Final = frozenset((StepStatus.SUCCEEDED, StepStatus.FAILED, StepStatus.TIMED_OUT))


def advise(result: RunResult, *, past: Past, is_dry_run: bool, resume_command: str, is_record_whole: bool) -> RunResult:
    """Add how to continue; a run that reached its end needs none. The command is empty if the run is not recorded."""
    end = _ENDS.get(result.status)
    if end is None:
        return result
    command = ""
    if result.status is RunStatus.REFUSED:
        advice = "nothing was run and nothing can be resumed: run the file again when the lock is free"
    elif is_dry_run:
        advice = "a dry run is not recorded and cannot be resumed"
    elif not (past.started or past.done or any(map(_has_begun, result.steps))):
        advice = "no step had begun: run the file again"
    elif resume_command and not is_record_whole:
        advice = (
            f"its history is incomplete: if its rows are still there, resume with: {resume_command}; "
            "if they are gone, run the file again"
        )
    elif not resume_command:
        advice = "it is not recorded: to continue, run the file again"
    else:
        command = resume_command
        advice = f"resume with: {command}"
    text = f"run {wording.short_id(result.run_id)} {end}; {advice}"
    return replace(result, advice=text, resume_command=command)


def done_count(past: Past) -> int:
    """Count the commands that earlier attempts of the run have completed."""
    ended = (one.result for one in past.done.values())
    return sum(1 for result in ended if not result.is_group and result.status is not StepStatus.SKIPPED)


def _has_begun(result: StepResult) -> bool:
    was_called = not result.is_group and result.attempt_count > 0
    return result.role is Role.STEP and (result.status in _ENDED or was_called)
