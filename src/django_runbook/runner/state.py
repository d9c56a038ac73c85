"""How far a block of steps, or a loop, has come to how it ended as a whole."""

from __future__ import annotations

from dataclasses import dataclass

from django_runbook.process.deadlines import Deadline
from django_runbook.results import AttemptResult, RunStatus, StepResult, StepStatus
from django_runbook.runner import outcomes


@dataclass(slots=True)
class State:
    """``failed`` is the first step whose failure is not tolerated, ``expired`` the deadline that cut the rest short.

    ``cut`` is the first step that may run out of time, and did when that of the block was over: then it may not.
    """

    failed: StepResult | None = None
    cut: StepResult | None = None
    is_interrupted: bool = False
    expired: Deadline | None = None

    def add(self, result: StepResult, *, is_over: bool) -> None:
        """Take the result of a step into account; ``is_over`` says that the time of what is around it is."""
        if result.status is StepStatus.INTERRUPTED:
            self.is_interrupted = True
        if result.is_failure and not result.tolerated and self.failed is None:
            self.failed = result
        if is_over and result.status is StepStatus.TIMED_OUT and not result.is_past:
            self.cut = self.cut or result

    def expire(self, deadline: Deadline) -> None:
        """Take into account that a deadline of the block, or of what is around it, is over."""
        if self.is_interrupted:
            return
        self.failed = self.failed or self.cut
        if self.failed is not None:
            self.expired = deadline

    def result(self) -> AttemptResult:
        """How the block ended."""
        if self.is_interrupted:
            return AttemptResult(status=StepStatus.INTERRUPTED)
        if self.expired is not None:
            return AttemptResult(status=StepStatus.TIMED_OUT, failure=self.expired.failure(self._culprit()))
        if self.failed is None:
            return AttemptResult(status=StepStatus.SUCCEEDED)
        return AttemptResult(status=StepStatus.FAILED, failure=outcomes.below(self.failed))

    def names_for_handlers(self, *, has_warnings: bool) -> dict[str, object]:
        """What the handlers of the block find in ``run`` besides the names that every step finds."""
        failed = self.failed
        if self.is_interrupted:
            status = RunStatus.INTERRUPTED
        else:
            well = RunStatus.WARNING if has_warnings else RunStatus.SUCCEEDED
            status = well if failed is None else RunStatus.FAILED
        names: dict[str, object] = {"status": status.value}
        if failed is not None:
            names |= {"failed_step": failed.step_id, "error": failed.failure.message if failed.failure else ""}
        return names

    def _culprit(self) -> str:
        first = self.failed
        if first is None or first.failure is None or first.failure.error_type == "TimeoutError":
            return ""
        return f'step "{first.step_id}" had failed'
