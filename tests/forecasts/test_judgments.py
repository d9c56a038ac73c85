"""Tests what is said about a step, by value."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from django_runbook.forecasts import judgments
from django_runbook.forecasts.figures import RunFigures, StepFigures
from django_runbook.forecasts.judgments import History, PastRun

TODAY = datetime.date(2026, 7, 15)


def step(**values: Any) -> StepFigures:
    return StepFigures(**{"definition": "d1", "status": "succeeded", **values})


def history(*steps: StepFigures, shape: str = "s1", seconds: float | None = 60) -> History:
    return History(
        runs=tuple(
            PastRun(
                TODAY - datetime.timedelta(days=n),
                RunFigures(shape=shape, seconds=seconds, steps={"load": one}),
            )
            for n, one in enumerate(steps, start=1)
        )
    )


@pytest.mark.parametrize(
    ("earlier", "now", "said"),
    [
        (step(rows=27_000), step(rows=0), ["did 0 rows; usually 27,000"]),
        (step(rows=27_000), step(rows=1), []),
        (step(rows=27_000), step(rows=None), []),
        (step(rows=27_000), step(rows=0, status="failed"), []),
        (step(rows=5), step(rows=0), []),
        (step(output_size=1240), step(output_size=0), ["printed nothing; usually 1,240 characters"]),
        (step(captured_size=27, output_size=90), step(captured_size=0, output_size=0), ["captured an empty output; usually 27 items"]),
        (step(), step(status="skipped"), ["skipped (when: x); it ran in each of 5 comparable runs"]),
        (step(status="failed"), step(status="skipped"), ["skipped (when: x); it ran in each of 5 comparable runs"]),
        (step(status="skipped"), step(status="skipped"), []),
        (step(status="not_run"), step(status="skipped"), []),
        (step(rows=27_000, definition="d0"), step(rows=0), []),
    ],
)  # fmt: skip
def test_the_end_of_a_step_is_judged(earlier: StepFigures, now: StepFigures, said: list[str]) -> None:
    found = judgments.at_end(history(*[earlier] * 5).step("load", "d1"), TODAY, now, reason="when: x")
    assert [judgment.text for judgment in found] == said
    few = judgments.at_end(history(*[earlier] * 4).step("load", "d1"), TODAY, now, reason="when: x")
    assert list(few) == []


@pytest.mark.parametrize(
    ("seconds", "is_running", "said"),
    [
        (479.9, False, None),
        (480, False, "took 8m00s; usually 4m00s"),
        (480, True, "still running after 8m00s; usually 4m00s"),
    ],
)
def test_a_duration_is_judged(seconds: float, *, is_running: bool, said: str | None) -> None:
    found = judgments.slow(history(*[step(seconds=240)] * 5).step("load", "d1"), TODAY, seconds, is_running=is_running)
    assert (found.text if found else None) == said


def test_only_successful_steps_count_for_durations() -> None:
    runs = history(*[step(seconds=60)] * 4, *[step(seconds=1, status="failed")] * 6)
    assert runs.step("load", "d1").forecast(TODAY) is None


@pytest.mark.parametrize(
    ("values", "text"),
    [([60] * 10, "usually 1m00s"), ([60] * 9 + [600], "usually 1m00s, at most 10m00s in 95% of 10 runs"), ([60] * 4, None)],
)  # fmt: skip
def test_a_forecast_says_what_is_usual(values: list[float], text: str | None) -> None:
    found = history(*[step(seconds=value) for value in values]).step("load", "d1").forecast(TODAY)
    assert (found.text if found else None) == text


def test_a_run_is_forecast_by_runs_of_the_same_steps_that_reached_their_end() -> None:
    runs = history(*[step()] * 5)
    assert runs.forecast("s1", TODAY) is not None
    assert runs.forecast("s2", TODAY) is None
    assert history(*[step()] * 5, seconds=None).forecast("s1", TODAY) is None
