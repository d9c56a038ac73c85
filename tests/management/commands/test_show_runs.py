"""Stored runs in, lists and JSON out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from pytest_django import Settings

from django_runbook import conf
from django_runbook.locks import factory
from django_runbook.models import RUNNING, Run, StepRun
from tests.journal.support import die
from tests.management.commands.stored_runs import FAILING, made, show
from tests.runner.support import run

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("history")]


def test_runs_are_shown_newest_first(tmp_path: Path) -> None:
    assert show() == "no runs found\n"
    run(tmp_path, "steps: [noop]")
    run(tmp_path, FAILING)
    head, second, first = show().splitlines()
    assert head.split() == ["RUN", "RUNBOOK", "STATUS", "STARTED", "TOOK", "ATTEMPTS"]
    assert "failed" in second
    assert "succeeded" in first


def test_runs_of_one_runbook(tmp_path: Path) -> None:
    run(tmp_path, FAILING)
    made("weekly.yml", days=1)
    for name in ("weekly.yml", "weekly"):
        assert [row["runbook"] for row in json.loads(show(name, "--format", "json"))] == ["weekly.yml"]
    assert [row["name"] for row in json.loads(show("test.yml", "--format", "json"))] == ["Nightly"]
    assert [row["name"] for row in json.loads(show("Nightly", "--format", "json"))] == ["Nightly"]
    assert len(json.loads(show("--limit", "1", "--format", "json"))) == 1


@pytest.mark.parametrize("options", [{"limit": -1}, {"limit": 10**30}, {"run": ""}])
def test_an_invalid_option_value_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(CommandError) as caught:
        call_command("show_runs", **options)
    assert caught.value.returncode == 2


def test_a_run_is_shown_with_its_steps(tmp_path: Path) -> None:
    run(tmp_path, FAILING)
    text = show("--run", Run.objects.get().pk[:6])
    assert "param     day = monday" in text
    assert "  ✓ one (say): succeeded, " in text
    assert "    ✗ two (fail): failed, " in text
    assert ": nobody meant this\n" in text
    assert "- three (noop): not run" in text


def test_a_dead_run_shows_its_step_as_interrupted_with_both_options(tmp_path: Path) -> None:
    run(tmp_path, FAILING)
    Run.objects.update(status=RUNNING, finished_at=None)
    StepRun.objects.filter(step_id="two").update(status=RUNNING, finished_at=None, message="")
    lock = factory.new_factory(conf.read(), what="")(Run.objects.get().lock_name)
    lock.acquire()
    lock.release()
    run_id = Run.objects.get().pk[:8]
    text = show("--run", run_id)
    assert "✗ two (fail): interrupted" in text
    assert f"resume with: python manage.py run_runbook {tmp_path / 'test.yml'} --resume {run_id}" in text
    assert 'step "fail" (two) was interrupted and its outcome is unknown: --rerun two runs it again, --skip two' in text


def test_the_output_of_a_step_is_shown(tmp_path: Path) -> None:
    run(tmp_path, FAILING)
    run_id = Run.objects.get().pk
    assert show("--run", run_id, "--step", "one").splitlines()[-1] == "hello"
    text = show("--run", run_id, "--step", "two")
    assert "about to fail" in text
    assert text.splitlines()[-1] == "ValueError: nobody meant this"
    assert json.loads(show("--run", run_id, "--step", "two", "--format", "json"))["error_type"] == "ValueError"


def test_numbers_that_json_lacks_are_strings(tmp_path: Path) -> None:
    run(tmp_path, """steps: [{id: odd, command: 'say "{\\"a\\": [NaN, -Infinity, 1.5]}"', capture: json}]""")
    words = ("--run", Run.objects.get().pk, "--step", "odd", "--format", "json")
    shown = json.loads(show(*words), parse_constant=pytest.fail)
    assert shown["output"] == [{"a": ["NaN", "-Infinity", 1.5]}]


def test_a_run_with_a_dead_process_is_interrupted(tmp_path: Path) -> None:
    run(tmp_path, FAILING)
    row = die("one")
    assert "interrupted" in show()
    lock = factory.new_factory(conf.read(), what="")(row.lock_name)
    lock.acquire()
    try:
        assert "running" in show()
    finally:
        lock.release()


def test_a_run_with_another_lock_backend_may_be_running(tmp_path: Path, settings: Settings) -> None:
    run(tmp_path, FAILING)
    die("one")
    folder = tmp_path / "elsewhere"
    settings.RUNBOOK = {**settings.RUNBOOK, "LOCK": {"BACKEND": "file", "OPTIONS": {"directory": str(folder)}}}
    # That there is a file for it, from an attempt of the run in earlier days, proves nothing.
    lock = factory.new_factory(conf.read(), what="")(Run.objects.get().lock_name)
    lock.acquire()
    lock.release()
    assert "running" in show()


def test_runs_are_filtered_by_their_displayed_status(tmp_path: Path) -> None:
    for status in ("succeeded", "refused", "failed"):
        made(f"{status}.yml", days=1, status=status)
        assert [line.split()[1] for line in show("--status", status).splitlines()[1:]] == [f"{status}.yml"]
    assert show("--status", "warning") == "no runs found\n"
    run(tmp_path, FAILING)
    row = die("one")
    assert row.pk[:8] in show("--status", "interrupted")
    assert show("--status", "running") == "no runs found\n"


@pytest.mark.parametrize("words", [("--run", "x"), ("--step", "one")], ids=["run", "step"])
def test_a_missing_run_or_step_is_reported(words: tuple[str, ...]) -> None:
    with pytest.raises(CommandError) as caught:
        show(*words)
    assert caught.value.returncode == 2


@pytest.mark.parametrize(
    "lock",
    [
        {"BACKEND": "redis", "OPTIONS": {"url": "redis://127.0.0.1:1/0"}},
        {"BACKEND": "file", "OPTIONS": {"directory": "/proc/none"}},
    ],
    ids=["no Redis", "no folder"],
)
def test_without_locks_a_run_has_its_stored_status(settings: Settings, lock: dict[str, Any]) -> None:
    row = made("a.yml", days=1, status=RUNNING)
    settings.RUNBOOK = {"LOCK": lock}
    assert "running" in show()
    assert "  status    running" in show("--run", row.pk)


@pytest.mark.parametrize("words", [("show_runs",), ("prune_runs", "--dry-run")], ids=["show_runs", "prune_runs"])
def test_an_invalid_setting_is_reported(settings: Settings, words: tuple[str, ...]) -> None:
    settings.RUNBOOK = {"LOCK": "nonsense"}
    with pytest.raises(CommandError, match="nonsense") as caught:
        call_command(*words)
    assert caught.value.returncode == 2


def test_statistics_of_a_runbook_are_tables_or_json() -> None:
    figures = {"shape": "s", "seconds": 60, "steps": {"load": ["d", "succeeded", 30, 9, 40, None]}}
    for days in range(3):
        made("a.yml", days=days, duration_seconds=60.0, figures=json.dumps(figures), figures_kind="k")
    lines = show("a", "--stats").splitlines()
    assert lines[0] == "WEEK OF     RUNS  FAILED  UNUSUAL  MEDIAN  LONGEST"
    assert lines[-1] == "load  3     30s     30s  9     40"
    found = json.loads(show("a", "--stats", "--format", "json"))
    assert found["steps"] == [
        {"STEP": "load", "RUNS": "3", "MEDIAN": "30s", "95%": "30s", "ROWS": "9", "CHARACTERS": "40"}
    ]
    assert show("b", "--stats") == "no runs found\n"
    with pytest.raises(CommandError, match="--stats needs RUNBOOK"):
        show("--stats")


def test_a_run_shows_its_forecast_and_what_is_unusual() -> None:
    row = made(
        "a.yml",
        days=0,
        forecast={"seconds": 60, "most_seconds": 90, "run_count": 9},
        unusual=[{"step_id": "load", "kind": "rows", "text": "did 0 rows; usually 9"}],
    )
    text = show("--run", row.pk)
    assert "  forecast  usually 1m00s, at most 1m30s in 95% of 9 runs\n" in text
    assert "  unusual   load: did 0 rows; usually 9\n" in text
