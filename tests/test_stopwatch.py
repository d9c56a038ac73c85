"""Tests where the time of a run goes, and how that is shown."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_django import Settings

from django_runbook.results import StepResult, StepStatus
from django_runbook.stopwatch import Stopwatch, process_seconds
from tests.runner.support import run

pytestmark = pytest.mark.django_db

TEXT = """\
steps:
  - {id: import, command: say a line}
  - {id: group, steps: [{id: late, command: noop}]}
  - {id: left_out, command: noop, when: 1 > 2}
"""


def new_clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace the clock of the stopwatch by one that the test moves."""
    now = [100.0]
    monkeypatch.setattr("django_runbook.stopwatch.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


def step(step_id: str, seconds: float, **more: Any) -> StepResult:
    return StepResult(
        step_id=step_id, name=step_id, status=StepStatus.SUCCEEDED, duration_seconds=seconds, attempt_count=1, **more
    )


def test_each_part_has_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = new_clock(monkeypatch)
    watch = Stopwatch(start_up_seconds=0.5)
    now[0] += 2
    watch.end_check()
    for _ in range(2):
        with watch.history():
            now[0] += 3
        with watch.reports():
            now[0] += 1
    steps = [step("one", 7), step("group", 7, is_group=True), step("before", 7, is_past=True), step("two", 2)]
    found = watch.timings(steps)
    assert (found.start_up_seconds, found.check_seconds) == (0.5, 2)
    assert (found.step_seconds, found.history_seconds, found.report_seconds) == (9, 6, 2)


def test_the_life_of_this_process_is_known() -> None:
    before = process_seconds()
    assert before > 0
    assert 0 <= process_seconds() - before <= time.monotonic()


@pytest.mark.parametrize("has_history", [True, False])
def test_json_has_the_times(
    tmp_path: Path, settings: Settings, monkeypatch: pytest.MonkeyPatch, *, has_history: bool
) -> None:
    settings.RUNBOOK = {**settings.RUNBOOK, "JOURNAL": has_history}
    if not has_history:
        # By the time of this thread on the processor, which no other process makes longer.
        monkeypatch.setattr("django_runbook.stopwatch.time", SimpleNamespace(monotonic=time.thread_time))
    ended = run(tmp_path, TEXT, timings=True)
    result = ended.events[-1]["result"]
    found = result["timings"]
    # The process of a test is a host.
    assert found.pop("start_up_seconds") is None
    assert min(found["check_seconds"], found["step_seconds"], found["report_seconds"]) > 0
    if has_history:
        assert found["history_seconds"] > 0.0001
    else:
        # Some calls that record nothing: a small part of what reading the file takes on the same machine.
        assert found["history_seconds"] < found["check_seconds"] / 4
    commands = [one["duration_seconds"] for one in result["steps"] if not one["is_group"]]
    assert found["step_seconds"] == pytest.approx(sum(commands))


@pytest.mark.parametrize("name", ["plain", "rich", "github"])
def test_the_other_formats_show_the_times_with_the_slowest_commands(tmp_path: Path, name: str) -> None:
    shown = run(tmp_path, TEXT, timings=True, format=name).shown
    (headline,) = [number for number, line in enumerate(shown) if line.startswith("time: ")]
    assert [part.split()[0] for part in shown[headline].removeprefix("time: ").split(", ")] == [
        "check",
        "steps",
        "history",
        "reports",
    ]
    lines = [line.split() for line in shown[headline + 1 : headline + 3]]
    # A step that was left out took no time.
    assert {words[-1].strip("()") for words in lines} == {"import", "late"}
    assert [words[0] for words in lines] == sorted((words[0] for words in lines), reverse=True)


def test_only_the_slowest_commands_are_shown(tmp_path: Path) -> None:
    shown = run(tmp_path, "steps:\n" + "  - noop\n" * 25, timings=True, format="plain").shown
    headline = next(number for number, line in enumerate(shown) if line.startswith("time: "))
    assert len(shown[headline + 1 :]) == 21
    assert shown[-1].endswith("s  5 more")


def test_a_run_that_is_not_measured_has_no_times(tmp_path: Path) -> None:
    assert run(tmp_path, TEXT).events[-1]["result"]["timings"] is None
    assert "time: " not in "\n".join(run(tmp_path, TEXT, format="plain").shown)
