"""Tests the forecast that ``--plan`` shows, and what it reads of a long history."""

from __future__ import annotations

import copy
import datetime
import re
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from django_runbook import clock
from django_runbook.forecasts import plan_forecast
from django_runbook.forecasts.figures import RunFigures
from django_runbook.forecasts.history import MAX_RUNS
from django_runbook.journal import unreadable
from django_runbook.models import Run, StepRun
from django_runbook.structs import replace
from tests.runner.support import run

pytestmark = pytest.mark.django_db
FILE = "steps: [say hello, {id: each, command: 'say ${{ item }}', for_each: [a, b]}, {steps: [noop]}]"


@pytest.fixture(autouse=True)
def _journal(settings: Settings) -> None:
    settings.RUNBOOK = {**settings.RUNBOOK, "JOURNAL": True}


def record(directory: Path, count: int) -> None:
    """Record a run and copies of it, in which each step took a minute."""
    assert run(directory, FILE).exit_code == 0
    row = Run.objects.get()
    figures = RunFigures.of_text(row.figures)
    steps = {key: replace(one, seconds=60.0) for key, one in figures.steps.items()}
    row.figures = replace(figures, steps=steps, seconds=245.0).to_text()
    row.save()
    copies = []
    for number in range(count - 1):
        one = copy.copy(row)
        one.pk = f"copy-{number}"
        copies.append(one)
    Run.objects.bulk_create(copies)


def test_the_plan_says_what_each_step_and_the_run_usually_take(tmp_path: Path) -> None:
    record(tmp_path, 5)
    _heading, *lines, last = run(tmp_path, FILE, plan=True).shown
    assert lines == [
        "  say hello  # usually 1m00s",
        "  say:  # for each of 2 items, usually 1m00s",
        "    say a  # usually 1m00s",
        "    say b  # usually 1m00s",
        "  group:  # usually 1m00s",
        "    noop  # usually 1m00s",
    ]
    assert re.fullmatch(r"usually 4m05s; started now, it ends at about [\d-]*\s?\d\d:\d\d", last)
    assert run(tmp_path, FILE, plan=True, skip=["each"]).shown[-1].startswith("    noop")


def test_the_end_is_right_also_when_the_clocks_change_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path, 5)
    begin = datetime.datetime(2027, 3, 28, 1, 58, tzinfo=ZoneInfo("Europe/Berlin"))
    monkeypatch.setattr(clock, "now", lambda: begin)
    assert run(tmp_path, FILE, plan=True).shown[-1].endswith("started now, it ends at about 03:02")


def test_fewer_runs_and_other_plans_say_nothing(tmp_path: Path, settings: Settings) -> None:
    record(tmp_path, 4)
    assert "usually" not in " ".join(run(tmp_path, FILE, plan=True).shown)
    Run.objects.all().delete()
    record(tmp_path, 5)
    assert "usually" not in " ".join(run(tmp_path, FILE, plan=True, no_journal=True).shown)
    assert "usually" not in " ".join(run(tmp_path, FILE.replace("hello", "bye"), plan=True).shown[:2])
    settings.RUNBOOK = {**settings.RUNBOOK, "JOURNAL": False}
    assert "usually" not in " ".join(run(tmp_path, FILE, plan=True).shown)


def test_a_plan_and_a_start_read_a_bounded_part_of_the_history_in_one_query(tmp_path: Path) -> None:
    record(tmp_path, MAX_RUNS + 80)
    step = StepRun.objects.all()[0]
    for number in range(50):
        step.pk, step.attempt = None, number + 10
        step.save()
    with CaptureQueriesContext(connection) as of_plan:
        run(tmp_path, FILE, plan=True)
    reads = [query["sql"] for query in of_plan if query["sql"].startswith("SELECT")]
    assert [sql.count(f"LIMIT {MAX_RUNS}") for sql in reads] == [1]
    with CaptureQueriesContext(connection) as of_run:
        run(tmp_path, FILE)
    reads = [query["sql"] for query in of_run if "figures" in query["sql"] and query["sql"].startswith("SELECT")]
    assert [sql.count(f"LIMIT {MAX_RUNS}") for sql in reads] == [1]
    # No row of a step is read, whose outputs may be long.
    assert not any("steprun" in sql for sql in reads)


@pytest.mark.parametrize(
    ("has_tables", "warning"),
    [(False, ""), (True, "no forecast: the run history cannot be read: it is gone")],
)
def test_a_history_that_cannot_be_read_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, has_tables: bool, warning: str
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise OperationalError("it is\ngone")

    monkeypatch.setattr(plan_forecast, "read_history", fail)
    monkeypatch.setattr(unreadable, "has_no_tables", lambda using: not has_tables)
    ended = run(tmp_path, FILE, plan=True)
    assert ended.exit_code == 0
    assert ended.errors.strip() == warning
    assert "usually" not in " ".join(ended.shown)


def test_the_history_is_read_in_the_order_of_an_index() -> None:
    if connection.vendor != "sqlite":
        # PostgreSQL and MariaDB read the few rows of a test without an index.
        return
    plan = Run.objects.of("nightly.yml").comparable("k").newest_first().values_list("figures")[:MAX_RUNS].explain()
    assert "USING INDEX runbook_run_comparable (runbook=? AND figures_kind=?)" in plan
    assert "ORDER BY" not in plan
