"""Finds the failed steps of a recorded run: those that failed it, and those that did not."""

from __future__ import annotations

import math
from collections.abc import Iterable

from django_runbook.causes import causes_of
from django_runbook.models import StepRun
from django_runbook.results import Role, StepStatus
from django_runbook.structs import Struct

# The columns that `failures_of` reads.
COLUMNS = ("step_id", "group_ids", "kind", "role", "status", "ignored", "finished_at")
_FAILED = frozenset((StepStatus.FAILED.value, StepStatus.TIMED_OUT.value, StepStatus.INTERRUPTED.value))


class RecordedFailure(Struct):
    """Describes the last attempt of a failed step.

    ``is_ignored`` is true if ``continue_on_error`` of the step, or of a group around it, ignored the failure.
    ``fails_run`` is false for an ignored failure and for a failed handler, which make the run a warning.
    """

    key: int
    step_id: str
    status: str
    is_ignored: bool
    fails_run: bool

    @property
    def in_words(self) -> str:
        """Return the id and the status, for example ``import timed out but ignored``."""
        return f"{self.step_id} {in_words(self.status, is_ignored=self.is_ignored)}"


def in_words(status: str, *, is_ignored: bool) -> str:
    """Return the status of a step with spaces, and whether its failure was ignored."""
    return status.replace("_", " ") + (" but ignored" if is_ignored else "")


def failures_of(steps: Iterable[StepRun]) -> list[RecordedFailure]:
    """Return the failures that no inner failure explains: first those that failed the run, in the order of their ends.

    ``steps`` are the rows of a run in their order, with the columns ``COLUMNS``.
    """
    latest = {step.step_id: step for step in steps}
    failed = sorted((step for step in latest.values() if step.status in _FAILED), key=_end)
    causes = causes_of(
        {step.step_id: step.group_ids for step in failed}, ignored={step.step_id for step in failed if step.ignored}
    )
    found = [_failure(latest[step_id], is_ignored=is_ignored) for step_id, is_ignored in causes.items()]
    return sorted(found, key=lambda failure: not failure.fails_run)


def _end(step: StepRun) -> tuple[float, int]:
    # A step whose process died has no end.
    return (math.inf if step.finished_at is None else step.finished_at.timestamp(), step.pk)


def _failure(step: StepRun, *, is_ignored: bool) -> RecordedFailure:
    return RecordedFailure(
        key=step.pk,
        step_id=step.step_id,
        status=step.status,
        is_ignored=is_ignored,
        fails_run=not is_ignored and step.role == Role.STEP.value,
    )
