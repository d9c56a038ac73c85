"""Formats failures, statuses, counts and notes for reporters that people read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from django_runbook import wording
from django_runbook.events import (
    AttemptFailed,
    ForecastMade,
    HistoryAwaited,
    LockAwaited,
    LockRetaken,
    RunStarted,
    StepClaimed,
    StepQueued,
    StopRequested,
    UnusualNoticed,
)
from django_runbook.results import Failure, RunResult, StepResult, StepStatus
from django_runbook.structs import replace

_CHECKS: Final = "SystemCheckError"
# A run may have thousands of steps.
_MAX_TIMED_STEPS: Final = 20
_CHECK_ID: Final = re.compile(r"\(\w+\.\w+\) ")


def heading(event: RunStarted) -> str:
    """Return the first line of a run."""
    return f"{event.name}: {opening(event)}"


def opening(event: RunStarted) -> str:
    """Return the number of steps of a run, or of completed steps if the run is resumed, and its file."""
    if event.attempt > 1:
        done = wording.number_of(event.done_count, "completed step")
        run_id = wording.short_id(event.run_id)
        return f"resuming run {run_id}, attempt {event.attempt}, {done} ({event.file})"
    steps = wording.number_of(event.step_count, "step")
    return f"{steps}{', dry run' if event.dry_run else ''} ({event.file})"


def labelled(name: str, step_id: str) -> str:
    """Return the name of a step, and its ID if it differs."""
    return name if name == step_id else f"{name} ({step_id})"


def timed(result: StepResult) -> str:
    """Return the name of a finished step, its ID if it differs, and its duration if it ran."""
    details = [result.step_id] if result.step_id != result.name else []
    if result.attempt_count > 0 or result.is_failure:
        details.append(wording.short_duration(result.duration_seconds))
    return f"{result.name} ({', '.join(details)})" if details else result.name


def failure(failure: Failure) -> str:
    """Summarize a failure in one line."""
    lines = failure.message.splitlines() or [""]
    found = _first_check(lines) if failure.error_type == _CHECKS else ""
    text = found or wording.in_short(lines[0]) + (" ..." if len(lines) > 1 else "")
    kind = "" if failure.error_type in {"CommandError", "SystemExit"} else f"{failure.error_type}: "
    code = f" (exit {failure.exit_code})" if failure.exit_code != 1 else ""
    return f"{kind}{text}{code}"


def note(result: StepResult) -> str:
    """Return the reason, the failure and the number of attempts of a finished step."""
    if result.reason:
        return result.reason
    parts = []
    if result.failure is not None:
        # The step inside reports its own failure.
        why = f"{result.failure.cause} failed" if is_caused_inside(result) else failure(result.failure)
        parts.append(why)
    if result.attempt_count > 1:
        parts.append(f"{result.attempt_count} attempts")
    return "; ".join(parts)


def note_and_rows(result: StepResult, *, is_dry_run: bool = False) -> str:
    """Return the note of a finished step, and the rows that it changed, or would change without a dry run."""
    account = result.row_account
    rows = "" if account is None else str(account)
    if rows and is_dry_run:
        rows = f"would change {rows}"
    return "; ".join(filter(None, (note(result), rows)))


def is_caused_inside(result: StepResult) -> bool:
    """Return whether a group failed because a step inside it failed."""
    return result.is_group and result.failure is not None and bool(result.failure.cause)


def place(failure: Failure) -> str:
    """Return the last project frame of a traceback, or an empty string for a deliberate error."""
    if failure.error_type in {"CommandError", "SystemExit"} or "CommandError" in failure.error_names:
        return ""
    lines = [line.strip() for line in failure.traceback.splitlines() if line.lstrip().startswith("File ")]
    # A frame in a library rarely shows what to fix.
    own = [line for line in lines if not any(part in line for part in wording.LIBRARIES)]
    return (own or lines or [""])[-1]


def _first_check(lines: Sequence[str]) -> str:
    # Django's message starts with a title and ends with a count.
    return next((line for line in lines if _CHECK_ID.search(line)), "")


def counts(result: RunResult) -> str:
    """Count commands by status: ``5 succeeded, 1 failed, 1 failed but ignored, 2 not run``."""
    counter = Counter(
        "failed but ignored" if step.ignored else words(step.status)
        for step in result.steps
        if not step.is_group and not is_not_due(step)
    )
    return ", ".join(f"{number} {word}" for word, number in counter.items()) or "nothing to do"


def summary(result: RunResult) -> str:
    """Summarize a run: its reason, its counts, its duration and its exit code."""
    reason = f"{result.reason}; " if result.reason else ""
    code = f", exit code {result.exit_code}" if result.exit_code else ""
    return f"{reason}{counts(result)} in {wording.short_duration(result.duration_seconds)}{code}"


def timings(result: RunResult) -> Iterator[str]:
    """Yield the times of the parts of a measured run, and of its slowest commands; nothing if it was not measured."""
    times = result.timings
    if times is None:
        return
    parts = {
        "start-up": times.start_up_seconds,
        "check": times.check_seconds,
        "steps": times.step_seconds,
        "history": times.history_seconds,
        "reports": times.report_seconds,
    }
    yield f"time: {', '.join(f'{name} {seconds:.3f}s' for name, seconds in parts.items() if seconds is not None)}"
    commands = [step for step in result.steps if not step.is_group and not step.is_past and step.attempt_count]
    slowest = sorted(commands, key=lambda step: step.duration_seconds, reverse=True)
    for step in slowest[:_MAX_TIMED_STEPS]:
        yield f"{step.duration_seconds:10.3f}s  {labelled(step.name, step.step_id)}"
    if rest := slowest[_MAX_TIMED_STEPS:]:
        yield f"{sum(step.duration_seconds for step in rest):10.3f}s  {len(rest)} more"


def is_not_due(result: StepResult) -> bool:
    """Return whether a handler was skipped because its condition did not occur; such handlers are not reported."""
    return result.status is StepStatus.SKIPPED and result.reason == "not due"


def explanation(result: StepResult) -> str:
    """Explain a failed step in a few lines."""
    if result.failure is None:
        return result.reason or status(result)
    first, *more = result.failure.message.splitlines() or [""]
    lines = [failure(replace(result.failure, message=first)), *more]
    at = place(result.failure)
    return "\n".join([*lines, at] if at else lines)


def status(result: StepResult) -> str:
    """Return the displayed status: ``ignored`` for an ignored failure."""
    return "ignored" if result.ignored else words(result.status)


def words(status: StepStatus) -> str:
    """Write a status with spaces: ``timed out``."""
    return status.value.replace("_", " ")


def waiting(event: LockAwaited | HistoryAwaited) -> str:
    """Return what the run is waiting for."""
    if isinstance(event, HistoryAwaited):
        return f"the run history database: {event.reason}"
    return event.reason or f'the lock "{event.name}" is held by {event.holder}'


def queued(event: StepQueued) -> str:
    """Return which workers a step waits for."""
    return f"on {event.queue}"


def claimed(event: StepClaimed) -> str:
    """Return which worker has taken a step."""
    return f"by process {event.pid} on {event.host}"


def forecast(event: ForecastMade) -> str:
    """Return what the run usually takes, and when it would end then."""
    usual = wording.usually(event.usual_seconds, event.most_seconds, run_count=event.run_count)
    return f"{usual}; ends at about {forecast_end(event)}"


def forecast_end(event: ForecastMade) -> str:
    """Return when the run usually ends: the time, and the day if it is another one."""
    return wording.clock_time(event.end_at, now=event.at)


def unusual(event: UnusualNoticed) -> str:
    """Return what is unusual about which step."""
    return f"{event.step_id}: {event.text}"


def warning(event: LockRetaken | UnusualNoticed) -> str:
    """Return what a person should know about a run that continues."""
    return retaken(event) if isinstance(event, LockRetaken) else unusual(event)


def inline(event: RunStarted) -> str:
    """Return why the steps run in-process."""
    return f"all steps run in this process: {event.inline_reason}"


def retaken(event: LockRetaken) -> str:
    """Return which lock was lost and acquired again."""
    return wording.lock_retaken(event.name)


def stopping(event: StopRequested) -> str:
    """Return the signal and its effect."""
    what = "ending the current command" if event.is_immediate else "stopping after the current command"
    return f"{event.signal_name}: {what}"


def attempt(event: AttemptFailed) -> str:
    """Return the number of the failed attempt and the failure."""
    text = f"attempt {event.attempt} of {event.attempt_count} failed: {failure(event.failure)}"
    return "; ".join(filter(None, (text, str(event.row_account or ""))))


def one_line(text: str) -> str:
    """Replace line breaks by spaces, so that a name or an argument cannot forge a line of the report."""
    return " ".join(text.splitlines())
