"""Tests the output for monitoring systems, compared with golden files."""

from __future__ import annotations

import datetime
import os
from pathlib import Path

import pytest

from django_runbook.monitoring import formats
from django_runbook.monitoring.states import Problem, RunbookState, ScheduleState

GOLDEN = Path(__file__).parent.parent / "golden" / "monitoring"
AT = datetime.datetime(2026, 7, 15, 2, 15, tzinfo=datetime.UTC)
LATE = RunbookState(
    runbook="weekly.yml",
    problems=(Problem(ScheduleState.LATE, "was due at 2026-07-15 02:15 UTC, and has not started", AT),),
    last_started_at=AT - datetime.timedelta(days=7),
    last_success_at=AT - datetime.timedelta(days=7),
    next_due_at=AT + datetime.timedelta(days=7),
)
FAILING = RunbookState(
    runbook='a "strange" name.yml',
    problems=(
        Problem(ScheduleState.FAILING, "failing since 2026-07-14 02:15 UTC, 2 runs | the last one failed", AT),
        Problem(ScheduleState.LATE, "was due at 2026-07-15 02:15 UTC, and has not started", AT),
    ),
)
FINE = RunbookState(
    runbook="nightly.yml", last_started_at=AT, last_success_at=AT, next_due_at=AT + datetime.timedelta(days=1)
)
STATES = [FINE, LATE, FAILING]


@pytest.mark.parametrize("name", formats.FORMATS)
def test_each_format_is_as_its_golden_file(name: str) -> None:
    path = GOLDEN / f"{name}.out"
    text = formats.FORMATS[name](STATES) + "\n"
    if os.environ.get("UPDATE_GOLDEN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


@pytest.mark.parametrize(
    ("states", "codes"),
    [
        ([FINE], {"text": 0, "json": 0, "prometheus": 0, "nagios": 0}),
        ([], {"text": 0, "json": 0, "prometheus": 0, "nagios": 0}),
        ([FINE, LATE], {"text": 1, "json": 1, "prometheus": 0, "nagios": 1}),
        ([LATE, FAILING], {"text": 1, "json": 1, "prometheus": 0, "nagios": 2}),
    ],
)
def test_the_exit_code_is_that_of_the_format(states: list[RunbookState], codes: dict[str, int]) -> None:
    assert {name: formats.exit_code(states, name) for name in formats.FORMATS} == codes


def test_without_runbooks_nothing_is_wrong() -> None:
    assert formats.as_text([]) == "no runbook has a schedule"
    assert formats.as_nagios([]).startswith("RUNBOOKS OK - all ran of 0 runbooks | ok=0")
