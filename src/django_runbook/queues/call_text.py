"""Formats calls as a table and as JSON."""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from django_runbook.cleaning import cleaned_line
from django_runbook.journal.reading import row_text
from django_runbook.models import seconds_between
from django_runbook.models.calls import Call, CallStatus
from django_runbook.wording import progress, short_duration, short_id

_HEAD: Final = ("RUN", "STEP", "ATTEMPT", "QUEUE", "STATUS", "WORKER", "WAITED", "RAN", "PROGRESS")
# Neither arguments and results, nor the tokens of workers.
COLUMNS: Final = (
    "id",
    "run_id",
    "step_id",
    "attempt",
    "number",
    "engine",
    "queue",
    "command",
    "host",
    "pid",
    "version",
    "release_count",
    "refusal_count",
    "refused_version",
    "done_count",
    "total_count",
    "failed_count",
    "queued_at",
    "claimed_at",
    "finished_at",
)


def waiting_seconds(call: Call, *, now: datetime.datetime) -> float | None:
    """Return how long a call has waited for a worker, or waited until the last one took it."""
    # A call that returned to its queue has the time of its last claim.
    claimed_at = None if call.status == CallStatus.QUEUED else call.claimed_at
    return seconds_between(call.queued_at, claimed_at or call.finished_at or now)


def running_seconds(call: Call, status: str, *, now: datetime.datetime) -> float | None:
    """Return how long a worker has run a call; None if none has, or if it died at an unknown time."""
    if call.status == CallStatus.QUEUED or call.claimed_at is None:
        return None
    return seconds_between(call.claimed_at, now if status == CallStatus.RUNNING else call.finished_at)


def table(calls: Sequence[tuple[Call, str]], *, now: datetime.datetime) -> Iterator[str]:
    """Yield the lines of a table of calls, each with its status to display."""
    yield from row_text.aligned(_HEAD, [_row(call, status, now=now) for call, status in calls])


def count_lines(counts: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    """Yield a line for each queue with its counts by status."""
    for queue, by_status in counts.items():
        yield f"{cleaned_line(queue)}: {', '.join(f'{count:,} {status}' for status, count in by_status.items())}"


def as_dict(call: Call, status: str, *, now: datetime.datetime) -> dict[str, Any]:
    """Return a call as JSON, with durations in seconds."""
    values = {name: getattr(call, name) for name in COLUMNS}
    times = {name: value.isoformat() for name, value in values.items() if isinstance(value, datetime.datetime)}
    return {
        **values,
        **times,
        "runbook": call.run.runbook,
        "status": status,
        "waiting_seconds": waiting_seconds(call, now=now),
        "running_seconds": running_seconds(call, status, now=now),
    }


def _row(call: Call, status: str, *, now: datetime.datetime) -> tuple[str, ...]:
    # A call that returned to its queue keeps the host of its last worker.
    is_with_worker = bool(call.host) and status != CallStatus.QUEUED
    return (
        short_id(call.run_id),
        cleaned_line(call.step_id),
        str(call.attempt) if call.number == 1 else f"{call.attempt}, call {call.number}",
        cleaned_line(call.queue),
        status,
        f"{cleaned_line(call.host)}, process {call.pid}" if is_with_worker else "",
        _duration(waiting_seconds(call, now=now)),
        _duration(running_seconds(call, status, now=now)),
        "" if call.done_count is None else progress(call.done_count, call.total_count, call.failed_count),
    )


def _duration(seconds: float | None) -> str:
    return "" if seconds is None else short_duration(seconds)
