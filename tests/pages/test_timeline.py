from __future__ import annotations

import datetime
from typing import Any

import pytest

from django_runbook.models import RUNNING, Run
from django_runbook.pages.attempt_rows import Attempt
from django_runbook.pages.axis import Axis
from django_runbook.pages.item_progress import item_progress
from django_runbook.pages.timeline import RowContext, Timeline, timeline_of

BEGIN = datetime.datetime(2026, 3, 2, 4, 30, tzinfo=datetime.UTC)


def at(seconds: float) -> datetime.datetime:
    return BEGIN + datetime.timedelta(seconds=seconds)


def attempt(pk: int, step_id: str, begin: float | None = 0, end: float | None = 1, **more: Any) -> Attempt:
    values: dict[str, Any] = {
        "attempt": 1, "run_attempt": 1, "name": step_id, "role": "step", "kind": "command", "group_ids": [],
        "status": "succeeded", "ignored": False, "reason": "", "error_type": "", "message": "", "done_count": None,
        "total_count": None, "failed_count": 0, "file": "a.yml", "line": pk, "duration_seconds": None,
    }  # fmt: skip
    begun, ended = (None if seconds is None else at(seconds) for seconds in (begin, end))
    return Attempt(**{**values, "pk": pk, "step_id": step_id, "started_at": begun, "finished_at": ended, **more})


def run_of(seconds: float | None = 100, **more: Any) -> Run:
    ended = None if seconds is None else at(seconds)
    return Run(started_at=BEGIN, finished_at=ended, **{"status": "failed", **more})


def timeline(run: Run, *attempts: Attempt, now: float | None = None, is_dead: bool = False) -> Timeline:
    moment = None if now is None else at(now)
    context = RowContext(now=moment, is_dead=is_dead, url_of=lambda pk: f"/{pk}/", failed_rows={}, workers={})
    return timeline_of(run, attempts, context)


def order(*attempts: Attempt) -> list[str]:
    return [row.step_id for row in timeline(run_of(), *attempts).rows]


def test_rows_have_the_order_of_the_file_not_of_the_run() -> None:
    assert order(attempt(1, "late", line=9), attempt(2, "early", line=3)) == ["early", "late"]


def test_the_items_of_a_loop_are_sorted_by_number() -> None:
    items = [attempt(pk, f"item[{number}]", line=5) for pk, number in enumerate((10, 2, 1), start=1)]
    assert order(*items) == ["item[1]", "item[2]", "item[10]"]


def test_handlers_follow_the_steps_wherever_they_are_defined() -> None:
    handler = attempt(1, "tidy", role="finally", line=2)
    assert order(handler, attempt(2, "rescue", role="on_failure", line=3), attempt(3, "work", line=4)) == [
        "work",
        "rescue",
        "tidy",
    ]


def test_only_the_first_row_of_a_handler_is_marked() -> None:
    group = attempt(1, "tidy", role="finally", kind="group")
    rows = timeline(run_of(), group, attempt(2, "inner", role="finally", group_ids=["tidy"])).rows
    assert [row.role for row in rows] == ["finally", ""]


def test_a_step_without_the_row_of_its_group_is_at_the_top_level() -> None:
    assert order(attempt(1, "inner", group_ids=["gone"])) == ["inner"]


def test_a_step_that_is_its_own_group_is_drawn() -> None:
    assert order(attempt(1, "odd", group_ids=["odd"])) == ["odd"]


def test_a_bar_without_an_end_extends_to_the_end_of_its_attempt_of_the_run() -> None:
    run = run_of(None, attempt_count=2, resumed_at=at(1000), status=RUNNING)
    first = attempt(1, "cut", 10, None, status="interrupted")
    other = attempt(2, "other", 0, 40)
    rows = timeline(run, first, other, attempt(3, "cut", 1000, 1060, run_attempt=2), now=1060).rows
    bars = next(row.bars for row in rows if row.step_id == "cut")
    assert [(bar.stretch.begin, bar.stretch.end) for bar in bars] == [("10.000", "40.000"), ("40.000", "100.000")]


def test_the_shortest_bar_is_visible_and_stays_on_the_axis() -> None:
    stretch = Axis.of(run_of(), [], now=None).stretch(at(100), at(100), 1)
    assert (stretch.x, stretch.width) == ("99.60%", "0.40%")


def test_a_clock_that_is_set_back_breaks_nothing() -> None:
    rows = timeline(run_of(10), attempt(1, "odd", 5, 3), attempt(2, "before", -5, -3)).rows
    assert [row.duration for row in rows] == ["0.0s", "2.0s"]
    assert all(float(bar.stretch.begin) <= float(bar.stretch.end) for row in rows for bar in row.bars)


def test_measured_durations_win_over_clock_times() -> None:
    back = attempt(1, "back", 50, -3550, duration_seconds=12.0)
    ahead = attempt(2, "ahead", 20, 3625, duration_seconds=5.0)
    rows = timeline(run_of(-3500, duration_seconds=100.0), back, ahead)
    assert [row.duration for row in rows.rows] == ["12s", "5.0s"]
    assert rows.axis.seconds == 100
    bars = [row.bars[0] for row in rows.rows]
    assert [(bar.stretch.begin, bar.stretch.end) for bar in bars] == [("50.000", "62.000"), ("20.000", "25.000")]
    assert [bar.text for bar in bars] == ["attempt 1: succeeded, 12s", "attempt 1: succeeded, 5.0s"]


def test_a_retried_step_shows_its_whole_duration_and_each_attempt_its_own() -> None:
    tried = [
        attempt(1, "load", 0, 10, status="failed"),
        attempt(2, "load", 40, 45, attempt=2, status="failed"),
        attempt(3, "load", 75, 90, attempt=3, duration_seconds=90.2),
    ]
    (row,) = timeline(run_of(), *tried).rows
    assert (row.duration, row.attempts_text) == ("1m30s", "3 attempts")
    assert [bar.text.rpartition(", ")[2] for bar in row.bars] == ["10s", "5.0s", "15s"]
    # An attempt of a dead run has no measured duration.
    (row,) = timeline(run_of(), *tried[:2]).rows
    assert row.duration == "45s"


def test_the_duration_of_a_step_in_a_retry_includes_all_attempts() -> None:
    tried = [attempt(1, "load", 0, 10, status="failed"), attempt(2, "load", 40, None, attempt=2, status=RUNNING)]
    (row,) = timeline(run_of(None, status=RUNNING), *tried, now=100).rows
    assert row.duration == "1m40s"
    assert row.bars[1].text == "attempt 2: running, 1m00s"


def test_a_resumed_step_shows_the_duration_of_its_last_attempt_of_the_run() -> None:
    first = attempt(1, "load", 0, 10, status="interrupted")
    second = attempt(2, "load", 1000, 1030, attempt=2, run_attempt=2, duration_seconds=31.0)
    (row,) = timeline(run_of(1030, attempt_count=2, resumed_at=at(1000)), first, second).rows
    assert row.duration == "31s"
    assert [bar.text.rpartition(", ")[2] for bar in row.bars] == ["10s", "31s"]


@pytest.mark.parametrize("seconds", [0, 0.0005, 0.03, 7, 61, 3599, 90_000, 40_000_000])
def test_an_axis_of_any_length_has_a_few_round_times(seconds: float) -> None:
    ticks = Axis.of(run_of(seconds), [], now=None).ticks
    assert 1 <= len(ticks) <= 7
    assert ticks[0].label == "0"


def test_a_dead_run_has_no_running_step() -> None:
    rows = timeline(run_of(None, status=RUNNING), attempt(1, "work", 0, None, status=RUNNING), is_dead=True)
    assert [row.status for row in rows.rows] == ["interrupted"]
    assert [row.status for row in rows.failures] == ["interrupted"]


def test_the_rate_counts_only_the_current_attempt() -> None:
    first = attempt(1, "batch", 0, 10, status="interrupted", done_count=500, total_count=1000)
    second = attempt(2, "batch", 20, None, status=RUNNING, done_count=700, total_count=1000)
    progress = item_progress([first, second], now=at(40))
    assert progress is not None
    assert (progress.text, progress.pace, progress.share) == ("700 of 1,000 (70%)", "10/s, 30s left", "70.00%")


def test_a_step_without_a_total_has_a_rate_but_no_remaining_time() -> None:
    progress = item_progress([attempt(1, "batch", 0, None, status=RUNNING, done_count=30)], now=at(60))
    assert progress is not None
    assert (progress.text, progress.pace, progress.share) == ("30", "30.0/min", "")
