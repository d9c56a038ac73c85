"""Tests what recorded runs say about themselves, and that nothing in it can change a run."""

from __future__ import annotations

import datetime
import threading
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pytest_django import Settings

from django_runbook import clock, events
from django_runbook.forecasts import samples, watch
from django_runbook.forecasts.figures import RunFigures, StepFigures
from django_runbook.forecasts.judgments import History, PastRun
from django_runbook.forecasts.subject import Subject
from django_runbook.forecasts.watch import RunWatch
from django_runbook.models import Run, StepRun
from django_runbook.results import Failure, RunResult, RunStatus, StepResult, StepStatus
from django_runbook.structs import replace
from tests.journal.support import resume
from tests.reporters.scenes import AT
from tests.runner.support import FinishedRun, run
from tests.testapp.models import Row

FILE = """\
unusual: {policy}
params: {{words: text, pause: 0.0, is_late: false, skips: [none]}}
steps:
  - {{id: load, command: count_rows}}
  - {{id: talk, command: "say ${{{{ params.words }}}}"}}
  - {{id: late, command: say ready, when: "params.skips[0] != 'late'"}}
  - {{id: each, command: "say ${{{{ item }}}}", for_each: [a, b]}}
  - {{id: slow, command: "effect slow --log log", options: {{pause: "${{{{ params.pause }}}}"}}}}
on_failure:
  - say ${{{{ run.failed_step }}}} ${{{{ run.error }}}}
"""


def start(directory: Path, *params: str, policy: str = "warn", **options: Any) -> FinishedRun:
    return run(directory, FILE.format(policy=policy), param=list(params), **options)


def noticed(ended: FinishedRun) -> list[tuple[str, str]]:
    return [(event["step_id"], event["text"]) for event in ended.events if event["event"] == "unusual_noticed"]


@pytest.fixture
def past(tmp_path: Path, db: None, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Record five runs of the file as it usually runs."""
    settings.RUNBOOK = {**settings.RUNBOOK, "JOURNAL": True}
    monkeypatch.chdir(tmp_path)
    Row.objects.bulk_create(Row(pk=n) for n in range(12))
    assert start(tmp_path).exit_code == 0
    row = Run.objects.get()
    for number in range(4):
        row.pk = f"copy-{number}"
        row.save(force_insert=True)
    return tmp_path


def test_a_usual_run_has_a_forecast_and_nothing_unusual(past: Path) -> None:
    ended = start(past)
    (forecast,) = (event for event in ended.events if event["event"] == "forecast_made")
    assert forecast["run_count"] == 5
    assert noticed(ended) == []
    row = Run.objects.newest_first()[0]
    assert row.forecast["run_count"] == 5
    assert row.unusual == []
    assert set(RunFigures.of_text(row.figures).steps) == {"load", "talk", "late", "each", "each[]", "slow"}


def test_everything_unusual_is_said_once_and_stored(past: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The steps are usually as long as they are, so that a busy machine is not unusual.
    usual = RunFigures.of_text(Run.objects.all()[0].figures)
    steps = {key: replace(one, seconds=0.01 if key == "slow" else 60.0) for key, one in usual.steps.items()}
    Run.objects.update(figures=replace(usual, steps=steps).to_text())
    monkeypatch.setattr(samples, "LEAST_EXCESS_SECONDS", 0.05)
    Row.objects.all().delete()
    ended = start(past, "words=", "pause=0.1", "skips=late")
    found = noticed(ended)
    assert [step_id for step_id, _ in found] == ["load", "talk", "late", "slow"]
    assert [text for _, text in found[:3]] == [
        "did 0 rows; usually 12",
        "printed nothing; usually 4 characters",
        "skipped (when: params.skips[0] != 'late'); it ran in each of 5 comparable runs",
    ]
    assert "; usually 0.0s" in found[3][1]
    assert ended.exit_code == 0
    assert ended.status == "succeeded"
    row = Run.objects.newest_first()[0]
    assert [(one["step_id"], one["text"]) for one in row.unusual] == found
    stored = {one.step_id: one.unusual for one in StepRun.objects.filter(run=row)}
    assert {step_id: texts for step_id, texts in stored.items() if texts} == {one: [text] for one, text in found}


def test_steps_that_were_left_out_are_neither_judged_nor_compared(past: Path) -> None:
    ended = start(past, only=["talk"])
    assert noticed(ended) == []
    stored = RunFigures.of_text(Run.objects.newest_first()[0].figures)
    assert {key: one.status for key, one in stored.steps.items()} == {
        **dict.fromkeys(("load", "late", "each", "slow"), "not_run"),
        "talk": "succeeded",
    }


def test_the_file_may_fail_the_run_or_ignore_it(past: Path) -> None:
    failed = start(past, "words=", policy="fail")
    assert failed.exit_code == 1
    assert failed.events[-1]["result"]["reason"] == "unusual: talk printed nothing; usually 4 characters"
    assert failed.output("say") == ["talk talk printed nothing; usually 4 characters"]
    assert set(failed.statuses.values()) == {"succeeded"}
    resumed = resume(past)
    assert resumed.exit_code == 0
    ignored = start(past, "words=", policy="ignore")
    assert (noticed(ignored), ignored.exit_code) == ([], 0)
    assert any(event["event"] == "forecast_made" for event in ignored.events)


@pytest.mark.parametrize(
    ("params", "options"),
    [
        pytest.param(["words=", "is_late=true"], {}, id="another kind of run"),
        pytest.param(["words="], {"dry_run": True}, id="dry run"),
        pytest.param(["words="], {"no_journal": True}, id="without history"),
        pytest.param([], {"skip": ["late"]}, id="left out by the caller"),
    ],
)
def test_what_cannot_be_compared_is_not_judged(past: Path, params: list[str], options: dict[str, Any]) -> None:
    assert noticed(start(past, *params, **options)) == []


def test_a_changed_step_has_no_earlier_runs(past: Path) -> None:
    text = FILE.format(policy="warn").replace("say ${{ params.words }}", "say --to print ${{ params.words }}")
    assert noticed(run(past, text, param=["words="])) == []


def test_an_error_in_the_comparison_changes_nothing_but_a_line(past: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise ValueError("odd")

    monkeypatch.setattr(watch, "read_history", fail)
    ended = start(past, "words=")
    assert ended.exit_code == 0
    assert ended.status == "succeeded"
    assert noticed(ended) == []
    assert ended.errors.count("the run is not compared with earlier runs: ValueError: odd") == 1


def test_broken_figures_are_left_out_of_the_comparison(past: Path) -> None:
    Run.objects.filter(pk__in=["copy-0", "copy-1"]).update(figures='{"steps": 3}')
    ended = start(past, "words=")
    assert ended.exit_code == 0
    assert noticed(ended) == []
    assert ended.errors.count("the stored figures of 2 runs cannot be read, which are left out (copy-") == 1
    Run.objects.newest_first()[0].delete()
    for _ in range(2):
        start(past)
    assert noticed(start(past, "words=")) == [("talk", "printed nothing; usually 4 characters")]
    assert run(past, FILE.format(policy="warn"), plan=True).errors.count("the stored figures of 2 runs cannot") == 1


class FakeJournal:
    """Keeps what the watch asks for, and calls delayed functions when the test does."""

    def __init__(self, *, history: History) -> None:
        self.history = history
        self.later: list[tuple[float, Callable[[], None]]] = []
        self.figures: RunFigures | None = None

    def ask_later(self, question: Callable[[str], None]) -> None:
        question("default")

    def call_later(self, call: Callable[[], None], *, seconds: float) -> None:
        self.later.append((seconds, call))

    def captured_of(self, step_id: str) -> list[object] | None:
        return None

    def keep_figures(self, figures: str, *, kind: str) -> None:
        self.figures = RunFigures.of_text(figures)


# By the clock of a watch, which is frozen: a second more would change what it says.
NOW_SECONDS = 1000.0


def watched(monkeypatch: pytest.MonkeyPatch, *, policy: str = "warn") -> tuple[RunWatch, FakeJournal, list[Any]]:
    """Return a watch over a run whose step "load" took a minute in each of five nights."""
    usual = StepFigures(definition="d", status="succeeded", seconds=60.0)
    # In the middle of a month: its first and last day are compared with earlier ones only.
    now = datetime.datetime(2026, 7, 15, 6, tzinfo=datetime.UTC)
    monkeypatch.setattr(clock, "now", lambda: now)
    monkeypatch.setattr(watch, "time", SimpleNamespace(monotonic=lambda: NOW_SECONDS))
    figures = RunFigures(shape="", seconds=70.0, steps={"load": usual})
    runs = tuple(PastRun(now.date() - datetime.timedelta(days=n), figures) for n in range(1, 6))
    journal = FakeJournal(history=History(runs=runs))
    monkeypatch.setattr(watch, "read_history", lambda runbook, kind, step_count, using: journal.history)
    subject = Subject(
        runbook="", kind="", shape="", step_count=1, unselected=frozenset(), definition_of=lambda step_id: "d"
    )
    sent: list[Any] = []
    found = RunWatch(new_subject=lambda: subject, journal=journal, policy=policy, emit=sent.append, report=sent.append)
    found(events.RunStarted(at=AT, run_id="", name="", file="", step_count=1))
    return found, journal, sent


def load_started(*, seconds_ago: float) -> events.StepStarted:
    return events.StepStarted(
        at=AT, step_id="load", name="load", argv=("load",), clock_seconds=NOW_SECONDS - seconds_ago
    )


def load_finished(seconds: float) -> events.StepFinished:
    result = StepResult(
        step_id="load", name="load", status=StepStatus.SUCCEEDED, attempt_count=1, duration_seconds=seconds
    )
    return events.StepFinished(at=AT, result=result)


def texts_in(sent: list[Any]) -> list[str]:
    return [event.text for event in sent if isinstance(event, events.UnusualNoticed)]


def test_a_slow_step_is_noticed_while_it_runs_and_not_again_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    observed, journal, sent = watched(monkeypatch)
    observed(load_started(seconds_ago=121))
    ((seconds, check),) = journal.later
    assert seconds == 120
    check()
    observed(load_finished(130))
    check()
    assert texts_in(sent) == ["still running after 2m01s; usually 1m00s"]


def test_a_step_that_ended_in_time_is_not_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    observed, journal, sent = watched(monkeypatch)
    observed(load_started(seconds_ago=500))
    observed(load_finished(60))
    journal.later[0][1]()
    assert texts_in(sent) == []


def test_a_slow_step_that_nothing_watched_is_noticed_at_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    observed, _, sent = watched(monkeypatch, policy="fail")
    assert observed.failure() is None
    observed(load_started(seconds_ago=0))
    observed(load_finished(125))
    assert texts_in(sent) == ["took 2m05s; usually 1m00s"]
    assert observed.failure() == Failure(
        error_type="Unusual", message="load took 2m05s; usually 1m00s", exit_code=1, cause="load"
    )


def test_events_of_several_threads_are_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    observed, _, sent = watched(monkeypatch)
    before = len(sent)

    def send() -> None:
        for _ in range(200):
            observed(load_finished(1))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(sent) == before + 800


@pytest.mark.parametrize(
    ("status", "seconds"), [(RunStatus.WARNING, 5.0), (RunStatus.FAILED, None), (RunStatus.INTERRUPTED, None)]
)
def test_only_a_run_that_reached_its_end_has_a_duration(
    status: RunStatus, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    observed, journal, _ = watched(monkeypatch)
    observed(events.RunFinished(at=AT, result=RunResult(status=status, exit_code=0, duration_seconds=5.0)))
    assert journal.figures is not None
    assert journal.figures.seconds == seconds
