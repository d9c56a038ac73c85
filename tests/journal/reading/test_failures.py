"""Rows of steps in, the failures out."""

from __future__ import annotations

import datetime
from typing import Any

from django_runbook.journal.reading.failures import failures_of
from django_runbook.models import StepRun


def step(step_id: str, *, second: int | None, **columns: Any) -> StepRun:
    at = None if second is None else datetime.datetime(2026, 1, 1, second=second, tzinfo=datetime.UTC)
    return StepRun(**{"step_id": step_id, "role": "step", "status": "failed", "finished_at": at, **columns})


def names(*steps: StepRun) -> list[str]:
    for pk, one in enumerate(steps):
        one.pk = pk
    return [failure.in_words for failure in failures_of(steps)]


def test_concurrent_steps_are_in_the_order_of_their_ends() -> None:
    assert names(
        step("lost", second=None, status="interrupted"), step("b", second=3, status="interrupted"), step("a", second=2)
    ) == ["a failed", "b interrupted", "lost interrupted"]


def test_only_the_last_attempt_of_a_step_counts() -> None:
    assert names(step("a", second=1), step("a", second=2, status="succeeded", attempt=2)) == []
    assert names(step("a", second=1), step("a", second=2, status="timed_out", attempt=2)) == ["a timed out"]


def test_failures_of_the_run_precede_ignored_ones_and_those_of_handlers() -> None:
    assert names(
        step("handler", second=1, role="finally"), step("ignored", second=2, ignored=True), step("a", second=3)
    ) == ["a failed", "handler failed", "ignored failed but ignored"]
