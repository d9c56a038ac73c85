"""What reporters for people have in common: the words for durations, failures and counts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import IO, Final

from django_runbook import wording
from django_runbook.events import (
    AttemptFailed,
    HistoryAwaited,
    LockAwaited,
    LockRetaken,
    RunStarted,
    StopRequested,
)
from django_runbook.results import Failure, RunResult, StepResult, StepStatus


def duration(seconds: float) -> str:
    """``0.4s``, ``12s``, ``3m05s`` or ``2h03m``."""
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes}m{rest:02}s" if minutes < 60 else f"{minutes // 60}h{minutes % 60:02}m"


_CHECKS: Final = "SystemCheckError"
_CHECK_ID: Final = re.compile(r"\(\w+\.\w+\) ")


def heading(event: RunStarted) -> str:
    """Return the first line of a run: a new one says how much there is to do, a resumed one what is done."""
    steps = f"{event.step_count} step{'' if event.step_count == 1 else 's'}"
    if event.attempt > 1:
        done = f"{event.done_count} step{' is' if event.done_count == 1 else 's are'} done"
        run_id = wording.short_id(event.run_id)
        return f"{event.name}: resumes run {run_id}, attempt {event.attempt}: {done} ({event.file})"
    return f"{event.name}: {steps}{', dry run' if event.dry_run else ''} ({event.file})"


def labelled(name: str, step_id: str) -> str:
    """Name a step, with its id if that differs."""
    return name if name == step_id else f"{name} ({step_id})"


def timed(result: StepResult) -> str:
    """Name a step that has ended, with its id if that differs, and with its duration if it ran."""
    details = [result.step_id] if result.step_id != result.name else []
    if result.attempt_count > 0 or result.is_failure:
        details.append(duration(result.duration_seconds))
    return f"{result.name} ({', '.join(details)})" if details else result.name


def failure(reason: Failure) -> str:
    """Why, in one line."""
    lines = reason.message.splitlines() or [""]
    found = _first_check(lines) if reason.error_type == _CHECKS else ""
    text = found or wording.in_short(lines[0]) + (" ..." if len(lines) > 1 else "")
    kind = "" if reason.error_type in {"CommandError", "SystemExit"} else f"{reason.error_type}: "
    code = f" (exit {reason.exit_code})" if reason.exit_code != 1 else ""
    return f"{kind}{text}{code}"


def note(result: StepResult) -> str:
    """What stands behind a finished step."""
    if result.reason:
        return result.reason
    parts = []
    if result.failure is not None:
        # The step inside has said why.
        why = f"{result.failure.cause} failed" if is_caused_inside(result) else failure(result.failure)
        parts.append(("ignored: " if result.ignored else "") + why)
    if result.attempt_count > 1:
        parts.append(f"{result.attempt_count} attempts")
    return "; ".join(parts)


def is_caused_inside(result: StepResult) -> bool:
    """Whether a group failed because a step inside it did."""
    return result.is_group and result.failure is not None and bool(result.failure.cause)


def place(reason: Failure) -> str:
    """The last line of our side of a traceback, for errors that nobody meant to raise."""
    if reason.error_type in {"CommandError", "SystemExit"} or "CommandError" in reason.error_names:
        return ""
    lines = [line.strip() for line in reason.traceback.splitlines() if line.lstrip().startswith("File ")]
    # A frame of a library says little about what to fix.
    own = [line for line in lines if not any(part in line for part in wording.LIBRARIES)]
    return (own or lines or [""])[-1]


def _first_check(lines: Sequence[str]) -> str:
    """Return the first check that failed: Django's text begins with a title, and ends with a count."""
    return next((line for line in lines if _CHECK_ID.search(line)), "")


def counts(result: RunResult) -> str:
    """``5 succeeded, 1 failed, 2 not run``: commands only, a ignored failure apart."""
    counter = Counter(
        "failed but ignored" if step.ignored else words(step.status)
        for step in result.steps
        if not step.is_group and not is_not_due(step)
    )
    return ", ".join(f"{number} {word}" for word, number in counter.items()) or "nothing to do"


def summary(result: RunResult) -> str:
    """What stands behind the status of a run."""
    reason = f"{result.reason}; " if result.reason else ""
    code = f", exit code {result.exit_code}" if result.exit_code else ""
    return f"{reason}{counts(result)} in {duration(result.duration_seconds)}{code}"


def is_not_due(result: StepResult) -> bool:
    """Whether this is a handler of what did not happen, of which there is nothing to tell."""
    return result.status is StepStatus.SKIPPED and result.reason == "not due"


def explanation(result: StepResult) -> str:
    """Why a step failed, with all that there is to say in a few lines."""
    if result.failure is None:
        return result.reason or status(result)
    first, *more = result.failure.message.splitlines() or [""]
    lines = [failure(replace(result.failure, message=first)), *more]
    at = place(result.failure)
    return "\n".join([*lines, at] if at else lines)


def status(result: StepResult) -> str:
    """The status in words; a failure that is ignored is ``allowed``."""
    return "ignored" if result.ignored else words(result.status)


def words(status: StepStatus) -> str:
    """``timed out`` for ``timed_out``."""
    return status.value.replace("_", " ")


def items(count: int) -> str:
    """``1 item``, ``3 items``."""
    return f"{count} item{'' if count == 1 else 's'}"


def waiting(event: LockAwaited | HistoryAwaited) -> str:
    """Say what is waited for."""
    if isinstance(event, HistoryAwaited):
        return f"the database of the history: {event.reason}"
    return event.reason or f'the lock "{event.name}" is held by {event.holder}'


def inline(event: RunStarted) -> str:
    """Say why steps have no processes of their own."""
    return f"all steps run in this process: {event.inline_reason}"


def retaken(event: LockRetaken) -> str:
    """Say which lock was lost for a moment."""
    return f'the lock "{event.name}" was lost and acquired again; as far as is known, nobody else had it meanwhile'


def stopping(event: StopRequested) -> str:
    """What a signal asks for."""
    what = "ending the current command" if event.is_immediate else "stopping after the current command"
    return f"{event.signal_name}: {what}"


def attempt(event: AttemptFailed) -> str:
    """Which attempt failed, and why."""
    return f"attempt {event.attempt} of {event.attempt_count} failed: {failure(event.failure)}"


def fitting(text: str, stream: IO[str]) -> str:
    """The text with what the encoding of the stream does not have written as ``\\xfc``."""
    encoding = getattr(stream, "encoding", None) or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)


def one_line(text: str) -> str:
    """The text without line breaks: what follows one in a name or an argument must not look like a line of ours."""
    return " ".join(text.splitlines())
