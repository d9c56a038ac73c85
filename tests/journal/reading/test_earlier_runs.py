"""Tests which earlier run decides whether a run is a recovery."""

from __future__ import annotations

import datetime

import pytest

from django_runbook.journal.reading import earlier_runs
from tests.journal_data import BEGIN, new_run

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("status", "exit_code", "expected"),
    [
        ("succeeded", 0, False),
        ("warning", 0, False),
        ("failed", 1, True),
        ("interrupted", 143, True),
        ("refused", 75, True),
        ("refused", 0, False),
        ("running", None, False),
    ],
)
def test_the_newest_run_that_has_ended_counts(status: str, exit_code: int | None, *, expected: bool) -> None:
    days = [BEGIN + datetime.timedelta(days=day) for day in range(4)]
    new_run(status="succeeded", started_at=days[0])
    new_run(status=status, exit_code=exit_code, started_at=days[1])
    new_run(status="failed", exit_code=1, runbook="other.yml", started_at=days[2])
    assert earlier_runs.has_failed_before(new_run(started_at=days[3]).pk, using="default") is expected
