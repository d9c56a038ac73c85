"""Describes where the steps of a run with a queue run, or ran."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from django_runbook.models import Run, StepRun
from django_runbook.models.calls import Call, CallStatus

_COLUMNS: Final = ("status", "queue", "host", "pid")


def worker_texts_of(run: Run, step_ids: Collection[str]) -> dict[str, str]:
    """Return the queue or the worker of the newest call of each of these steps, by the ID of the step."""
    calls = Call.objects.filter(run=run).order_by("attempt", "number").values_list("step_id", *_COLUMNS)
    return {step_id: _text(*columns) for step_id, *columns in calls.iterator() if step_id in step_ids}


def worker_text_at(step: StepRun) -> str:
    """Return the queue or the worker of the newest call of one attempt of a step; empty if it ran on the run's host."""
    calls = Call.objects.filter(run=step.run_id, step_id=step.step_id, attempt=step.attempt)
    newest = calls.order_by("-number").values_list(*_COLUMNS).first()
    return _text(*newest) if newest is not None else ""


def _text(status: str, queue: str, host: str, pid: int | None) -> str:
    # A released call keeps the host of its last worker.
    if status == CallStatus.QUEUED:
        return f"queued on {queue}"
    if status == CallStatus.CANCELLED:
        return f"cancelled on {queue}"
    return f"{host}, process {pid}"
