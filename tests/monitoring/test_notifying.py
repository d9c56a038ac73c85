"""Tests the notices about runbooks that did not run."""

from __future__ import annotations

import datetime

import pytest
from django.core.cache import cache
from pytest_django import Settings

from django_runbook.monitoring import notifying
from django_runbook.monitoring.notifying import notify
from django_runbook.monitoring.states import Problem, RunbookState, ScheduleState
from django_runbook.reporters.notifiers import notice_text
from django_runbook.reporters.notifiers.notices import Notice
from tests.services import GoneCache

AT = datetime.datetime(2026, 7, 15, 2, 15, tzinfo=datetime.UTC)
RECEIVED: list[str] = []


class Kept:
    """Keeps the titles and the second lines of notices."""

    def notify(self, notice: Notice) -> None:
        title, why, *_ = notice_text.summary_of(notice).splitlines()
        RECEIVED.append(f"{title}: {why}")


@pytest.fixture(autouse=True)
def _reporters(settings: Settings) -> None:
    cache.clear()
    oncall = {"BACKEND": f"{__name__}.Kept", "ON": ["failure"], "IN_TESTS": True}
    settings.RUNBOOK = {**settings.RUNBOOK, "REPORTERS": {"oncall": oncall}}


def state(kind: ScheduleState, *, days: int = 0, runbook: str = "nightly.yml") -> RunbookState:
    problem = Problem(kind, f"it is {kind.value}", AT + datetime.timedelta(days=days))
    return RunbookState(runbook=runbook, problems=(problem,))


def received(*states: RunbookState) -> list[str]:
    RECEIVED.clear()
    notify(states, warn=pytest.fail)
    return list(RECEIVED)


def test_a_problem_is_notified_of_once() -> None:
    late = "nightly.yml did not start: exit code 1: it is late"
    assert received(state(ScheduleState.LATE), RunbookState(runbook="fine.yml")) == [late]
    assert received(state(ScheduleState.LATE)) == []
    missing = "nightly.yml did not start: exit code 1: it is missing"
    assert received(state(ScheduleState.LATE, days=1), state(ScheduleState.MISSING)) == [late, missing]


def test_a_second_problem_of_the_same_runbook_is_new() -> None:
    stuck, missing = state(ScheduleState.STUCK), state(ScheduleState.MISSING)
    assert len(received(stuck)) == 1
    both = RunbookState(runbook="nightly.yml", problems=(*stuck.problems, *missing.problems))
    assert received(both) == ["nightly.yml did not start: exit code 1: it is stuck; it is missing"]
    assert received(both) == []


def test_what_a_reporter_failed_on_is_notified_of_again(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Kept, notice: Notice) -> None:
        raise OSError("no route to the host")

    warnings: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(Kept, "notify", fail)
        notify([state(ScheduleState.LATE)], warn=warnings.append)
    assert len(warnings) == 1
    assert len(received(state(ScheduleState.LATE))) == 1
    assert received(state(ScheduleState.LATE)) == []


def test_a_cache_that_does_not_answer_silences_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifying, "cache", GoneCache())
    RECEIVED.clear()
    warnings: list[str] = []
    for _ in range(2):
        notify([state(ScheduleState.LATE)], warn=warnings.append)
    assert len(RECEIVED) == 2
    assert (
        warnings
        == ["reporters may be notified again, because the cache failed: ConnectionError: the cache is gone"] * 2
    )


def test_the_name_of_a_file_need_not_be_text() -> None:
    (text,) = received(state(ScheduleState.LATE, runbook="odd\udcff.yml"))
    assert text.endswith("it is late")


def test_failing_runs_have_notified_of_themselves() -> None:
    assert received(state(ScheduleState.FAILING)) == []
    assert len(received(state(ScheduleState.STUCK), state(ScheduleState.INVALID, runbook="bad.yml"))) == 2


class Failing:
    """Fails, and repeats its URL."""

    def __init__(self, *, url: str) -> None:
        self.url = url

    def notify(self, notice: Notice) -> None:
        raise OSError(f"cannot reach {self.url}")


def test_a_reporter_that_fails_shows_no_secret(settings: Settings) -> None:
    options = {"url": "https://desk:hidden@example.com/hidden"}
    oncall = {"BACKEND": f"{__name__}.Failing", "OPTIONS": options, "ON": ["failure"], "IN_TESTS": True}
    settings.RUNBOOK = {**settings.RUNBOOK, "REPORTERS": {"oncall": oncall}}
    warnings: list[str] = []
    notify([state(ScheduleState.LATE)], warn=warnings.append)
    assert warnings == ['reporter "oncall" failed: OSError: cannot reach ***']
