"""What reporters for people have in common: the words for durations, failures and counts."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import IO

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


def failure(reason: Failure) -> str:
    """Why, in one line."""
    first, *more = reason.message.splitlines() or [""]
    text = first + (" ..." if more else "")
    kind = "" if reason.error_type in {"CommandError", "SystemExit"} else f"{reason.error_type}: "
    code = f" (exit {reason.exit_code})" if reason.exit_code != 1 else ""
    return f"{kind}{text}{code}"


def note(result: StepResult) -> str:
    """What stands behind a finished step."""
    if result.reason:
        return result.reason
    parts = []
    if result.failure is not None:
        parts.append(("allowed: " if result.tolerated else "") + failure(result.failure))
    if result.attempt_count > 1:
        parts.append(f"{result.attempt_count} attempts")
    return "; ".join(parts)


def place(reason: Failure) -> str:
    """The last line of our side of a traceback, for errors that nobody meant to raise."""
    if reason.error_type in {"CommandError", "SystemExit"}:
        return ""
    lines = [line.strip() for line in reason.traceback.splitlines() if line.lstrip().startswith("File ")]
    return lines[-1] if lines else ""


def counts(result: RunResult) -> str:
    """``5 succeeded, 1 failed, 2 not run``: commands only, a tolerated failure apart."""
    counter = Counter(
        "failed but allowed" if step.tolerated else words(step.status)
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
    """The status in words; a failure that is tolerated is ``allowed``."""
    return "allowed" if result.tolerated else words(result.status)


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
