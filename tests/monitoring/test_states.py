"""Tests each state of a runbook with a fixed clock."""

from __future__ import annotations

import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from django_runbook.document.runbook import Schedule
from django_runbook.document.syntax import source
from django_runbook.document.validation import validate
from django_runbook.monitoring.states import Limits, Problem, RecordedRun, RunbookState, ScheduleState, problems_of

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=BERLIN)


NOW = at("2026-07-15 09:00")


def schedule(cron: str = "15 2 * * *", **more: Any) -> Schedule:
    keys = ", ".join(f"{name}: {value}" for name, value in more.items())
    text = f'schedule: {{cron: "{cron}", timezone: Europe/Berlin{", " if keys else ""}{keys}}}\nsteps: [noop]\n'
    runbook, diagnostics = validate.load(source.Source(path="test.yml", text=text))
    assert diagnostics == []
    assert runbook is not None
    assert runbook.schedule is not None
    return runbook.schedule


def run(started: str, status: str = "succeeded", **more: Any) -> RecordedRun:
    if status == "running":
        more["is_running"] = True
    elif "exit_code" not in more:
        more["exit_code"] = {"succeeded": 0, "warning": 0, "refused": 75}.get(status, 1)
    return RecordedRun(started_at=at(started), status=status, **more)


def judged(*runs: RecordedRun, now: datetime.datetime = NOW, **more: Any) -> list[tuple[str, str]]:
    values: dict[str, Any] = {"limits": Limits(), **more}
    planned = values.pop("schedule", schedule())
    return [(one.state.value, one.text) for one in problems_of(planned, runs, now=now, **values)]


CASES: dict[str, tuple[list[RecordedRun], dict[str, Any], list[tuple[str, str]]]] = {
    "ran": ([run("2026-07-15 02:15")], {}, []),
    "ran with a warning": ([run("2026-07-15 02:15", "warning")], {}, []),
    "ran by hand later": ([run("2026-07-15 08:00"), run("2026-07-14 02:15")], {}, []),
    "late": (
        [run("2026-07-14 02:15")],
        {},
        [("late", "was due at 2026-07-15 02:15 CEST, and has not started")],
    ),
    "within the grace": ([run("2026-07-14 02:15")], {"now": at("2026-07-15 02:24")}, []),
    "past the grace": (
        [run("2026-07-14 02:15")],
        {"now": at("2026-07-15 02:25")},
        [("late", "was due at 2026-07-15 02:15 CEST, and has not started")],
    ),
    "within the jitter": (
        [run("2026-07-14 02:15")],
        {"now": at("2026-07-15 02:54"), "schedule": schedule(jitter="30m")},
        [],
    ),
    "a clock that is a little fast": ([run("2026-07-15 02:14:30")], {}, []),
    "too early by more than clocks differ": (
        [run("2026-07-15 02:13:30")],
        {},
        [("late", "was due at 2026-07-15 02:15 CEST, and has not started")],
    ),
    "missing": (
        [run("2026-07-12 02:15")],
        {},
        [("missing", "was due 3 times since 2026-07-13 02:15 CEST, and has not started")],
    ),
    "ran on a host whose clock was ahead": (
        [run("2027-07-15 02:15"), run("2026-07-14 02:15")],
        {},
        [("late", "was due at 2026-07-15 02:15 CEST, and has not started")],
    ),
    "made up for": (
        [run("2026-07-15 08:30"), run("2026-07-12 02:15")],
        {"schedule": schedule(catch_up="true")},
        [],
    ),
    "missing every minute": (
        [run("2026-07-15 01:00")],
        {"schedule": schedule("* * * * *")},
        [("missing", "was due 100 times or more since 2026-07-15 01:02 CEST, and has not started")],
    ),
    "never, and just deployed": ([], {"known_since": at("2026-07-15 08:00")}, []),
    "never": (
        [],
        {"known_since": at("2026-07-14 08:00")},
        [("missing", "has never run, and was due at 2026-07-15 02:15 CEST")],
    ),
    "always refused": (
        [run("2026-07-15 02:15", "refused"), run("2026-07-14 02:15")],
        {},
        [
            ("failing", "failing since 2026-07-15 02:15 CEST, 1 run, the last one refused, exit code 75"),
            ("late", "was due at 2026-07-15 02:15 CEST, and has not started"),
        ],
    ),
    "skipped, which its file allows": (
        [run("2026-07-15 02:15", "refused", exit_code=0), run("2026-07-14 02:15")],
        {},
        [],
    ),
    "failing": (
        [
            run("2026-07-15 02:15", "failed"),
            run("2026-07-14 02:15", "interrupted", exit_code=143),
            run("2026-07-13 02:15"),
        ],
        {},
        [("failing", "failing since 2026-07-14 02:15 CEST, 2 runs, the last one failed, exit code 1")],
    ),
    "recovered": ([run("2026-07-15 02:15"), run("2026-07-14 02:15", "failed")], {}, []),
    "failing without a schedule": (
        [run("2026-07-14 02:15", "failed")],
        {"schedule": None},
        [("failing", "failing since 2026-07-14 02:15 CEST, 1 run, the last one failed, exit code 1")],
    ),
    "running": ([run("2026-07-15 02:15", "running")], {"now": at("2026-07-15 04:00")}, []),
    "running since the day before": (
        [run("2026-07-14 02:15", "running", active_at=at("2026-07-15 08:30"))],
        {},
        [],
    ),
    "stuck": (
        [run("2026-07-15 02:15", "running", active_at=at("2026-07-15 03:00"))],
        {},
        [("stuck", "running, and no step has started or ended for 6h00m")],
    ),
    "stuck by its forecast": (
        [run("2026-07-15 07:00", "running", most_seconds=1800.0)],
        {},
        [("stuck", "running, and no step has started or ended for 2h00m")],
    ),
    "slow, and not stuck by its forecast": ([run("2026-07-15 07:00", "running", most_seconds=7200.0)], {}, []),
    "stuck by the option": (
        [run("2026-07-15 08:00", "running")],
        {"limits": Limits(stuck_seconds=1800)},
        [("stuck", "running, and no step has started or ended for 1h00m")],
    ),
    "dead": (
        [run("2026-07-15 02:15", "running", is_dead=True)],
        {},
        [("stuck", "the process of the run of 2026-07-15 02:15 CEST is dead")],
    ),
    "dead, and its work was done": (
        [run("2026-07-15 02:40"), run("2026-07-15 02:15", "running", is_dead=True)],
        {},
        [],
    ),
    "dead, and failing since": (
        [run("2026-07-15 02:40", "failed"), run("2026-07-15 02:15", "running", is_dead=True)],
        {},
        [
            ("stuck", "the process of the run of 2026-07-15 02:15 CEST is dead"),
            ("failing", "failing since 2026-07-15 02:40 CEST, 1 run, the last one failed, exit code 1"),
        ],
    ),
    # On this day 02:15 does not exist: it is due at 03:00.
    "a time that is skipped": (
        [run("2026-03-28 02:15")],
        {"now": at("2026-03-29 03:09")},
        [],
    ),
    "late after a time that is skipped": (
        [run("2026-03-28 02:15")],
        {"now": at("2026-03-29 03:10")},
        [("late", "was due at 2026-03-29 03:00 CEST, and has not started")],
    ),
    # 02:15 comes twice, and is due once.
    "a time that is repeated": (
        [RecordedRun(started_at=at("2026-10-25 02:15"), status="succeeded", exit_code=0)],
        {"now": at("2026-10-25 12:00")},
        [],
    ),
    "weekdays only": (
        [run("2026-07-10 02:15")],
        {"now": at("2026-07-12 09:00"), "schedule": schedule("15 2 * * MON-FRI")},
        [],
    ),
}


@pytest.mark.parametrize(("runs", "more", "expected"), CASES.values(), ids=list(CASES))
def test_a_runbook_is_in_the_state_that_its_runs_show(
    runs: list[RecordedRun], more: dict[str, Any], expected: list[tuple[str, str]]
) -> None:
    assert judged(*runs, **more) == expected


def test_each_state_is_in_the_table() -> None:
    found = {state for _, _, expected in CASES.values() for state, _ in expected}
    assert found == {state.value for state in ScheduleState} - {"ok", "invalid"}


def test_the_worst_problem_is_the_state() -> None:
    late, stuck = Problem(ScheduleState.LATE, "late"), Problem(ScheduleState.STUCK, "stuck")
    assert RunbookState(runbook="a.yml").state is ScheduleState.OK
    assert RunbookState(runbook="a.yml", problems=(stuck, late)).state is ScheduleState.STUCK
    assert RunbookState(runbook="a.yml", problems=(stuck, late)).text == "stuck; late"
