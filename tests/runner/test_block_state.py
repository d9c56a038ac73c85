"""The result of a block follows from those of its steps."""

from __future__ import annotations

import pytest

from django_runbook.results import StepResult, StepStatus
from django_runbook.runner.block_state import BlockState


@pytest.mark.parametrize(
    ("status", "is_halted", "expected"),
    [
        (StepStatus.SUCCEEDED, True, StepStatus.SUCCEEDED),
        (StepStatus.INTERRUPTED, True, StepStatus.INTERRUPTED),
        # It waited for its lock or for a worker.
        (StepStatus.NOT_RUN, True, StepStatus.INTERRUPTED),
        (StepStatus.NOT_RUN, False, StepStatus.INTERRUPTED),
        (StepStatus.SKIPPED, True, StepStatus.SUCCEEDED),
    ],
)
def test_a_block_is_interrupted_with_its_step(status: StepStatus, expected: StepStatus, *, is_halted: bool) -> None:
    state = BlockState()
    result = StepResult(step_id="one", name="one", status=status, attempt_count=0, file="f.yml", line=1)
    state.add(result, is_over=False, is_halted=is_halted)
    assert state.result().status is expected
