"""Behaviour that all reporters share: selection, phrases, JSON lines and failures."""

from __future__ import annotations

import dataclasses
import io
import json
import os
from pathlib import Path

import pytest

from django_runbook import events, reporters
from django_runbook.events import Event
from django_runbook.reporters import jsonl, phrases
from django_runbook.reporters.fan_out import FanOut
from django_runbook.reporters.github import GitHubReporter
from django_runbook.reporters.plain import PlainReporter
from django_runbook.results import Failure, Role, RunResult, RunStatus, StepStatus
from tests.reporters.scenes import ADVICE, AT, RUN, finished, result, send


def test_jsonl_is_one_flushed_object_a_line_with_a_version() -> None:
    stream = io.StringIO()
    reporter = jsonl.JsonLinesReporter(stream)
    for event in RUN:
        reporter(event)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["event"] for line in lines[:3]] == ["run_started", "step_started", "step_output_written"]
    assert all(line["version"] == 1 and line["at"] == "2013-01-31T06:00:00Z" for line in lines)
    assert lines[-1]["result"]["steps"][2]["failure"]["exit_code"] == 3
    assert lines[-1]["result"]["status"] == "failed"


def test_jsonl_has_the_names_of_each_event() -> None:
    # Programs read these names: increase jsonl.VERSION if a name is removed or changes its meaning.
    names = {
        jsonl.name_of(kind): [
            field.name for field in dataclasses.fields(kind) if field.name not in {"at", "clock_seconds"}
        ]
        for kind in events.Event.__subclasses__()
    }
    assert names == {
        "run_started": ["run_id", "name", "file", "step_count", "dry_run", "inline_reason", "attempt", "done_count"],
        "step_started": [
            "step_id",
            "name",
            "group_ids",
            "role",
            "argv",
            "item_count",
            "is_concurrent",
            "file",
            "line",
        ],
        "confirmation_requested": ["step_id", "text"],
        "confirmation_ended": ["step_id"],
        "lock_awaited": ["step_id", "name", "holder", "reason"],
        "history_awaited": ["reason"],
        "lock_retaken": ["name"],
        "step_output_written": ["step_id", "stream", "line"],
        "step_progress": ["step_id", "done_count", "total_count", "failed_count"],
        "attempt_started": ["step_id", "attempt"],
        "attempt_failed": ["step_id", "attempt", "attempt_count", "delay_seconds", "failure"],
        "step_finished": ["result", "group_ids"],
        "stop_requested": ["signal_name", "is_immediate"],
        "run_finished": ["result"],
    }


def test_a_reporter_is_chosen_by_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    assert reporters.choose(Terminal()) == "rich"
    assert reporters.choose(io.StringIO()) == "plain"
    monkeypatch.setenv("TERM", "dumb")
    assert reporters.choose(Terminal()) == "plain"
    for name in reporters.REPORTERS:
        reporters.build(name, stream=io.StringIO()).close()


def test_a_terminal_without_unicode_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    assert reporters.choose(Terminal(io.BytesIO(), encoding="ascii")) == "plain"
    assert reporters.choose(Terminal(io.BytesIO(), encoding="UTF-8")) == "rich"


def test_a_github_actions_job_is_detected_only_on_standard_output_of_the_process(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    class StandardOutput(io.StringIO):
        def fileno(self) -> int:
            return 1

    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    assert reporters.choose(StandardOutput()) == "github"
    assert reporters.choose(io.StringIO()) == "plain"
    with (tmp_path / "log").open("w") as file:
        assert reporters.choose(file) == "plain"
    monkeypatch.setenv("GITHUB_ACTIONS", "")
    assert reporters.choose(StandardOutput()) == "plain"


class Broken:
    """Fails at each event, and when it is closed."""

    def __init__(self) -> None:
        self.closed_count = 0

    def __call__(self, event: Event) -> None:
        raise BrokenPipeError("the pipe is closed")

    def close(self) -> None:
        self.closed_count += 1
        raise BrokenPipeError("the pipe is closed")


def test_a_failing_reporter_is_reported_once_closed_and_disabled() -> None:
    errors, good, broken = io.StringIO(), io.StringIO(), Broken()
    fan_out = FanOut([broken, PlainReporter(good)], errors=errors)
    for event in RUN:
        fan_out(event)
    fan_out.close()
    assert broken.closed_count == 1
    assert errors.getvalue() == "Broken failed and was disabled: BrokenPipeError: the pipe is closed\n"
    assert "failed: " in good.getvalue()


def test_the_failure_of_a_critical_listener_is_raised() -> None:
    def refuse(event: Event) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        FanOut([], critical=[refuse], errors=io.StringIO())(RUN[0])


def test_no_event_from_outside_the_steps_is_reported_after_the_summary() -> None:
    stream = io.StringIO()
    fan_out = FanOut([PlainReporter(stream)], errors=io.StringIO())
    retaken = events.LockRetaken(at=AT, name="nightly")
    fan_out.report_in_run(retaken)
    output = stream.getvalue()
    assert "nightly" in output
    for event in RUN:
        fan_out(event)
    ended = stream.getvalue()
    fan_out.report_in_run(retaken)
    assert stream.getvalue() == ended != output


def test_handlers_that_were_not_due_are_not_counted() -> None:
    steps = (result("one"), result("mail", StepStatus.SKIPPED, role=Role.ON_FAILURE, reason="not due"))
    run = RunResult(status=RunStatus.SUCCEEDED, exit_code=0, steps=steps)
    assert phrases.counts(run) == "1 succeeded"


@pytest.mark.parametrize("name", sorted(reporters.REPORTERS))
def test_a_closed_pipe_stops_the_reporter_but_not_the_run(name: str) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    # The pipe is unbuffered, so that closing it writes nothing.
    raw = os.fdopen(writing, "wb", buffering=0)
    stream, errors, good = io.TextIOWrapper(raw, encoding="utf-8", write_through=True), io.StringIO(), io.StringIO()
    fan_out = FanOut([reporters.build(name, stream=stream), PlainReporter(good)], errors=errors)
    for event in RUN:
        fan_out(event)
    fan_out.close()
    raw.close()
    assert errors.getvalue().count("BrokenPipeError") == 1
    assert good.getvalue().endswith(f"exit code 1\n{ADVICE}\n")


@pytest.mark.parametrize("name", ["plain", "github"])
def test_a_line_break_in_a_name_starts_no_line(name: str) -> None:
    forged = "Two\n::error::forged\r\nforged: nothing happened"
    listed = [
        events.RunStarted(at=AT, run_id="1", name=forged, file="daily.yml", step_count=1),
        events.StepStarted(at=AT, step_id="group", name=forged),
        events.LockAwaited(at=AT, step_id="two", name=forged, holder="nightly"),
        events.StepStarted(at=AT, step_id="two", name=forged, argv=("say", "x\n::error::forged")),
        finished("two", StepStatus.SKIPPED, name=forged, reason="when: true\n::error::forged"),
        events.RunFinished(at=AT, result=RunResult(status=RunStatus.SUCCEEDED, exit_code=0)),
    ]
    stream = io.StringIO()
    reporter = PlainReporter(stream, verbosity=2) if name == "plain" else GitHubReporter(stream, verbosity=2)
    send(reporter, listed)
    reporter.close()
    assert "forged" in stream.getvalue()
    assert not [line for line in stream.getvalue().splitlines() if line.startswith(("::error", "forged"))]


@pytest.mark.parametrize("verbosity", [0, 1, 2, 3])
@pytest.mark.parametrize("name", sorted(reporters.REPORTERS))
def test_a_failed_run_ends_with_the_command_line_that_resumes_it(name: str, verbosity: int) -> None:
    stream = io.StringIO()
    reporter = reporters.build(name, stream=stream, verbosity=verbosity)
    send(reporter, RUN)
    reporter.close()
    last = stream.getvalue().splitlines()[-1]
    if name == "jsonl":
        ended = json.loads(last)["result"]
        last = ended["advice"]
        assert ended["run_id"] == "1f0d898b"
        assert ended["resume_command"] == "python manage.py run_runbook daily.yml --resume 1f0d898b"
    assert last == ADVICE


@pytest.mark.parametrize("name", ["plain", "rich", "github"])
def test_a_resumed_run_says_so_in_its_first_line(name: str) -> None:
    stream = io.StringIO()
    start = events.RunStarted(
        at=AT, run_id="1f0d898b77", name="Daily", file="daily.yml", step_count=5, attempt=2, done_count=3
    )
    reporter = reporters.build(name, stream=stream)
    send(reporter, [start])
    reporter.close()
    first = stream.getvalue().splitlines()[0]
    assert first.removeprefix("runbook: ") == "Daily: resuming run 1f0d898b, attempt 2, 3 completed steps (daily.yml)"


def test_a_very_long_message_is_truncated_in_the_line_of_its_step() -> None:
    failed = Failure(error_type="ValueError", message="x" * 100_000, exit_code=1)
    assert phrases.failure(failed) == f"ValueError: {'x' * 999}…"


def test_a_failed_check_names_the_first_problem_once_and_no_frame() -> None:
    text = "SystemCheckError: System check identified some issues:\n\nERRORS:\n?: (app.E001) wrong\n\nSystem check identified 1 issue"
    frames = 'T\n  File "/x/site-packages/django/core/management/base.py", line 573, in check'
    names = ("SystemCheckError", "CommandError")
    failed = Failure(error_type="SystemCheckError", message=text, exit_code=1, error_names=names, traceback=frames)
    assert phrases.failure(failed) == "SystemCheckError: ?: (app.E001) wrong"
    assert phrases.place(failed) == ""


@pytest.mark.parametrize("library", ["/usr/lib/python3.13/pathlib.py", "<frozen os>", "<frozen importlib._bootstrap>"])
def test_the_place_of_an_error_is_the_last_frame_outside_libraries(library: str) -> None:
    frames = (
        'T\n  File "/x/django_runbook/executors/calling.py", line 1, in invoke\n'
        '  File "/srv/app/commands/load.py", line 2, in handle\n'
        f'  File "{library}", line 3, in open'
    )
    failed = Failure(error_type="OSError", message="no", exit_code=1, traceback=frames)
    assert phrases.place(failed) == 'File "/srv/app/commands/load.py", line 2, in handle'
    only = Failure(error_type="OSError", message="no", exit_code=1, traceback=frames.splitlines()[-1])
    assert phrases.place(only) == f'File "{library}", line 3, in open'
