"""What reporters for people have in common: the words for durations, failures and counts."""

from __future__ import annotations

from collections import Counter

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


def counts(result: RunResult, *, group_ids: frozenset[str]) -> str:
    """``5 succeeded, 1 failed, 2 not run``: commands only, a tolerated failure apart."""
    counter = Counter(
        "failed but allowed" if step.tolerated else step.status.value.replace("_", " ")
        for step in result.steps
        if step.step_id not in group_ids and not (step.status is StepStatus.SKIPPED and step.reason == "not due")
    )
    return ", ".join(f"{number} {word}" for word, number in counter.items()) or "nothing to do"
