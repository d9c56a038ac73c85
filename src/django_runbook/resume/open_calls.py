"""Finds the calls that an earlier attempt of a run has left on workers: they may still run, or have ended since."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django_runbook.calls import OPEN, Call, CallStatus
from django_runbook.models import RUNNING, Run, StepRun
from django_runbook.results import StepStatus
from django_runbook.resume.rows import has_no_result


def find_open_calls(run: Run, latest: Mapping[str, StepRun], *, rerun: Collection[str], using: str) -> dict[str, str]:
    """Return the ids of the calls whose result is or will be that of a step without one, by the ids of the steps.

    The result of a step in ``rerun`` is not used, but a call that may still run is never made a second time.
    """
    waiting = {step_id for step_id, row in latest.items() if row.kind == "command" and has_no_result(row)}
    if not waiting:
        return {}
    columns = ("pk", "step_id", "attempt", "status", "result")
    calls = Call.objects.using(using).filter(run=run, step_id__in=waiting).order_by("attempt", "number")
    last = {call["step_id"]: call for call in calls.values(*columns)}
    rows = StepRun.objects.using(using).filter(run=run, step_id__in=waiting)
    # A step that was retried since has the result of its earlier call already.
    ended = rows.exclude(status__in=(RUNNING, StepStatus.INTERRUPTED.value)).values_list("step_id", "attempt")
    collected = set(ended)
    return {
        step_id: call["pk"]
        for step_id, call in last.items()
        if (call["status"] in OPEN or (step_id not in rerun and _is_usable(call)))
        and (step_id, call["attempt"]) not in collected
    }


def _is_usable(call: Mapping[str, Any]) -> bool:
    """Return whether a call has the result of its step; that of a stopped call says nothing about it."""
    return bool(call["status"] == CallStatus.DONE and call["result"]["status"] != StepStatus.INTERRUPTED)
