from __future__ import annotations

from pathlib import Path

import pytest

from django_runbook.models import Run, StepRun
from tests.runner.support import run

pytestmark = pytest.mark.django_db


def test_a_run_is_recorded_with_its_steps(tmp_path: Path) -> None:
    told = run(
        tmp_path,
        "params: {word: hello}\nsteps:\n  - {id: one, command: 'say hello'}\n  - {id: two, command: noop}\n",
        param=["word=day"],
    )
    print(told.errors)
    row = Run.objects.get()
    assert (row.status, row.exit_code, row.params) == ("succeeded", 0, {"word": "day"})
    assert [(step.step_id, step.status, step.argv) for step in row.steps.order_by("pk")] == [
        ("one", "succeeded", ["say", "hello"]),
        ("two", "succeeded", ["noop"]),
    ]
    assert StepRun.objects.get(step_id="one").output_head == "hello"
