"""Tests the row of a new run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from django_runbook.models import Run
from tests.runner.support import run

pytestmark = pytest.mark.django_db


def test_a_run_is_recorded_with_its_parameters_and_options(tmp_path: Path) -> None:
    text = "name: Nightly\nparams: {word: hello}\nsteps:\n  - {id: one, command: 'say ${{ params.word }}'}\n  - noop\n"
    run(tmp_path, text, param=["word=day"], only=["one"])
    recorded = Run.objects.get()
    assert (recorded.name, recorded.status, recorded.exit_code, recorded.params, recorded.step_count) == (
        "Nightly",
        "succeeded",
        0,
        {"word": "day"},
        1,
    )
    assert recorded.options["only"] == ["one"]
    assert recorded.host
    assert recorded.finished_at is not None
    assert re.fullmatch(r"[0-9a-f]{64}", recorded.file_hash)
    one, other = recorded.steps.order_by("pk")
    assert (one.step_id, one.kind, one.argv, one.status, one.exit_code, one.output_head, one.line) == (
        "one",
        "command",
        ["say", "day"],
        "succeeded",
        0,
        "day",
        4,
    )
    assert one.definition == "command: say ${{ params.word }}"
    assert (other.step_id, other.status, other.reason, other.started_at) == ("noop", "skipped", "--only", None)
