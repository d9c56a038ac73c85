"""Finds the calls that an earlier attempt of a run has left on workers: they may still run, or have ended since."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django_runbook.document.outline import Entry, item_numbers, key_of
from django_runbook.document.runbook import CommandStep
from django_runbook.models import RUNNING, Run, StepRun
from django_runbook.models.calls import OPEN, Call, CallStatus
from django_runbook.results import StepStatus
from django_runbook.resume.rows import has_no_result
from django_runbook.structs import Struct, field


class LeftCalls(Struct):
    """Holds the calls whose result is or will be that of a step without one, by the ids of the steps.

    The commands of the steps in ``not_begun`` were never called: their calls were cancelled before a worker took them.
    """

    open: Mapping[str, str] = field(default_factory=dict)
    not_begun: frozenset[str] = frozenset()

    @property
    def known(self) -> frozenset[str]:
        """Return the steps whose outcome is known, or will be."""
        return self.not_begun | self.open.keys()


def is_called(step_id: str, outline: Mapping[str, Entry]) -> bool:
    """Return whether the runbook, which may have changed, still calls a command under this id."""
    entry = outline.get(key_of(step_id))
    if entry is None or not isinstance(entry.step, CommandStep):
        return False
    loop_count = sum(outline[key].step.is_loop for key in (*entry.group_keys, entry.key))
    return len(item_numbers(step_id)) == loop_count


def find_left_calls(run: Run, latest: Mapping[str, StepRun], *, rerun: Collection[str], using: str) -> LeftCalls:
    """Find the calls of the steps that have no result.

    The result of a step in ``rerun`` is not used, but a call that may still run is never made a second time.
    """
    waiting = {step_id for step_id, row in latest.items() if row.kind == "command" and has_no_result(row)}
    if not waiting:
        return LeftCalls()
    columns = ("pk", "step_id", "attempt", "status", "result")
    calls = Call.objects.using(using).filter(run=run, step_id__in=waiting).order_by("attempt", "number")
    last = {call["step_id"]: call for call in calls.values(*columns)}
    rows = StepRun.objects.using(using).filter(run=run, step_id__in=waiting)
    # A step that was retried since has the result of its earlier call already.
    ended = rows.exclude(status__in=(RUNNING, StepStatus.INTERRUPTED.value)).values_list("step_id", "attempt")
    collected = set(ended)
    left = {step_id: call for step_id, call in last.items() if (step_id, call["attempt"]) not in collected}
    return LeftCalls(
        open={
            step_id: call["pk"]
            for step_id, call in left.items()
            if call["status"] in OPEN or (step_id not in rerun and _is_usable(call))
        },
        not_begun=frozenset(step_id for step_id, call in left.items() if call["status"] == CallStatus.CANCELLED),
    )


def _is_usable(call: Mapping[str, Any]) -> bool:
    """Return whether a call has the result of its step; that of a stopped call says nothing about it."""
    return bool(call["status"] == CallStatus.DONE and call["result"]["status"] != StepStatus.INTERRUPTED)
