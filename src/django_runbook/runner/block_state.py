"""Accumulates the results of a block or loop into one result."""

from __future__ import annotations

from django_runbook.process.deadlines import Deadline
from django_runbook.results import AttemptResult, Failure, RunStatus, StepResult, StepStatus
from django_runbook.runner import outcomes
from django_runbook.structs import MutableStruct


class BlockState(MutableStruct, kw_only=False):
    """Holds the first failure that is not ignored, and the deadline that ended the block.

    ``cut`` is the first step whose ignored timeout coincided with the end of the block's own time: it then counts as
    the failure of the block. ``failure_at_end`` fails a run whose steps have succeeded.
    """

    failed: StepResult | None = None
    cut: StepResult | None = None
    is_interrupted: bool = False
    expired: Deadline | None = None
    failure_at_end: Failure | None = None

    def add(self, result: StepResult, *, is_over: bool, is_halted: bool) -> None:
        """Add the result of a step; ``is_over`` if a deadline around it has passed, ``is_halted`` if it was halted.

        A step that was interrupted without a halt, because its worker died, is a failure of the block. A step
        that was not run, because it waited for its lock or for a worker, interrupts the block.
        """
        if result.status is StepStatus.NOT_RUN or (result.status is StepStatus.INTERRUPTED and is_halted):
            self.is_interrupted = True
        if result.is_failure and not result.ignored and self.failed is None:
            self.failed = result
        if is_over and result.status is StepStatus.TIMED_OUT and not result.is_past:
            self.cut = self.cut or result

    def expire(self, deadline: Deadline) -> None:
        """Note that a deadline of the block, or of a group around it, has passed."""
        if self.is_interrupted:
            return
        self.failed = self.failed or self.cut
        if self.failed is not None:
            self.expired = deadline

    def result(self) -> AttemptResult:
        """Return the result of the block."""
        if self.is_interrupted:
            return AttemptResult(status=StepStatus.INTERRUPTED)
        if self.expired is not None:
            return AttemptResult(status=StepStatus.TIMED_OUT, failure=self.expired.failure(self._culprit()))
        if self.failed is None and self.failure_at_end is not None:
            reason = f"unusual: {self.failure_at_end.message}"
            return AttemptResult(status=StepStatus.FAILED, failure=self.failure_at_end, reason=reason)
        if self.failed is None:
            return AttemptResult(status=StepStatus.SUCCEEDED)
        return AttemptResult(status=StepStatus.FAILED, failure=outcomes.below(self.failed))

    def names_for_handlers(self, *, has_warnings: bool) -> dict[str, object]:
        """Return the names that ``run`` has for handlers besides those for every step."""
        failed = self.failed
        if self.is_interrupted:
            status = RunStatus.INTERRUPTED
        else:
            well = RunStatus.WARNING if has_warnings else RunStatus.SUCCEEDED
            status = well if failed is None and self.failure_at_end is None else RunStatus.FAILED
        names: dict[str, object] = {"status": status.value}
        if failed is None and self.failure_at_end is not None:
            names |= {"failed_step": self.failure_at_end.cause, "error": self.failure_at_end.message}
        if failed is not None:
            names |= {"failed_step": failed.step_id, "error": failed.failure.message if failed.failure else ""}
        return names

    def _culprit(self) -> str:
        first = self.failed
        if first is None or first.failure is None or first.failure.error_type == "TimeoutError":
            return ""
        return f'step "{first.step_id}" had failed'
