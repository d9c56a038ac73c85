"""Tests the weeks and the steps of a runbook's history."""

from __future__ import annotations

import copy
import datetime
import json
from typing import Any

import pytest
from pytest_django import DjangoAssertNumQueries

from django_runbook.forecasts import history
from django_runbook.forecasts.statistics import MAX_RUNS, Week, read_statistics, text_lines
from django_runbook.models import Run
from tests import journal_data

pytestmark = pytest.mark.django_db
# A Monday.
FIRST = datetime.datetime(2026, 3, 2, 4, 30, tzinfo=datetime.UTC)


def night(number: int, *, seconds: float = 60, rows: int = 10, **columns: Any) -> Run:
    steps = {"load": ["d", "succeeded", seconds / 2, rows, 120, None], "skipped": ["d", "skipped", *[None] * 4]}
    figures = json.dumps({"shape": "s", "seconds": seconds, "steps": steps})
    at = FIRST + datetime.timedelta(days=number)
    columns = {"figures": figures, "figures_kind": "k", **columns}
    return journal_data.new_run(started_at=at, duration_seconds=seconds, **columns)


def test_runs_are_summarized_by_weeks_and_steps() -> None:
    for number in range(7):
        night(number, seconds=60 + number)
    night(7, seconds=200, unusual=[{"step_id": "load", "kind": "slow", "text": "took 3m20s; usually 1m03s"}])
    night(8, status="failed", exit_code=1)
    night(9, attempt_count=2)
    night(10, status="refused", exit_code=75)
    night(11, figures_kind="another")
    found = read_statistics("nightly.yml", using="default")
    day = FIRST.date()
    assert found.weeks == [
        Week(
            begin=day + datetime.timedelta(days=7),
            run_count=4,
            failed_count=1,
            unusual_count=1,
            median_seconds=130.0,
            longest_seconds=200.0,
        ),
        Week(begin=day, run_count=7, failed_count=0, unusual_count=0, median_seconds=63.0, longest_seconds=66.0),
    ]
    # Only the newest run is of its kind.
    assert [(step.key, step.run_count) for step in found.steps] == [("load", 1)]
    weeks, steps = text_lines(found)
    assert weeks[1] == ("2026-03-09", "4", "1", "1", "2m10s", "3m20s")
    assert steps[1] == ("load", "1", "30s", "30s", "10", "120")


def test_a_long_history_is_read_in_two_queries_and_to_a_limit(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    row = night(0)
    copies = [copy.copy(row) for _ in range(MAX_RUNS + 50)]
    for number, one in enumerate(copies):
        one.pk, one.started_at = f"copy-{number}", row.started_at + datetime.timedelta(days=number + 1)
    Run.objects.bulk_create(copies)
    with django_assert_num_queries(2):
        found = read_statistics("nightly.yml", using="default")
    assert len(found.points) == MAX_RUNS
    assert found.steps[0].run_count == history.MAX_RUNS
    assert found.points[-1].id == copies[-1].pk


def test_without_runs_there_is_nothing() -> None:
    found = read_statistics("absent.yml", using="default")
    assert (found.weeks, found.steps) == ([], [])


@pytest.mark.parametrize(
    ("figures", "why"),
    [
        pytest.param("nonsense", "malformed", id="no JSON"),
        pytest.param("{}", "shape", id="no figures"),
        pytest.param('{"shape": "s", "seconds": 1, "steps": 3}', "steps", id="another type"),
        pytest.param('{"shape": "s", "seconds": 1, "steps": {"load": ["d"]}}', "array", id="older ones"),
    ],
)
def test_broken_figures_are_left_out_and_named(figures: str, why: str) -> None:
    night(0)
    broken = night(1, figures=figures, unusual=["load"])
    found = read_statistics("nightly.yml", using="default")
    assert [step.run_count for step in found.steps] == [1]
    assert found.history.notice.startswith(
        f"the stored figures of 1 run cannot be read, which are left out ({broken.pk[:8]}: "
    )
    assert why in found.history.notice
    assert found.points[-1].unusual == ("unusual: what the run stored cannot be read",)
