"""Finds the calls that an earlier attempt of a run has left on workers: they may still run, or have ended since."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django_runbook.calls import OPEN, Call, CallStatus
from django_runbook.models import Run, StepRun
from django_runbook.results import StepStatus
from django_runbook.resume.rows import has_no_result


def find_open_calls(run: Run, latest: Mapping[str, StepRun], *, using: str) -> dict[str, str]:
    """Return the ids of the calls whose result is or will be that of a step without one, by the ids of the steps."""
    waiting = {step_id for step_id, row in latest.items() if row.kind == "command" and has_no_result(row)}
    if not waiting:
        return {}
    columns = ("pk", "step_id", "attempt", "status", "result")
    calls = Call.objects.using(using).filter(run=run).order_by("attempt", "number").values(*columns)
    last = {call["step_id"]: call for call in calls if call["step_id"] in waiting}
    return {
        step_id: call["pk"]
        for step_id, call in last.items()
        if _has_result(call) and not _was_collected(call, run=run, using=using)
    }


def _has_result(call: Mapping[str, Any]) -> bool:
    """Return whether a call has a result, or will have one; that of a stopped call says nothing about its step."""
    if call["status"] in OPEN:
        return True
    return bool(call["status"] == CallStatus.DONE and call["result"]["status"] != StepStatus.INTERRUPTED)


def _was_collected(call: Mapping[str, Any], *, run: Run, using: str) -> bool:
    """Return whether the result of a call is that of an attempt which has ended: the step was retried since."""
    ended = StepRun.objects.using(using).filter(run=run, step_id=call["step_id"], attempt=call["attempt"])
    return ended.exclude(status__in=("running", StepStatus.INTERRUPTED.value)).exists()
