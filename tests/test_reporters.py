"""The choice of a reporter, and the behaviour that all of them share."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from django_runbook import events, reporters
from django_runbook.exceptions import InvalidUsage
from django_runbook.reporters.fan_out import FanOut
from django_runbook.reporters.github import GitHubReporter
from django_runbook.reporters.plain import PlainReporter
from django_runbook.results import RunResult, RunStatus, StepStatus
from tests.reporters.scenes import ADVICE, AT, RUN, finished, send


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


# A program reads jsonl, and a job of GitHub Actions has no terminal.
@pytest.mark.parametrize("name", sorted(set(reporters.REPORTERS) - {"jsonl", "github"}))
def test_nothing_is_written_while_a_question_is_at_the_terminal(name: str) -> None:
    stream = io.StringIO()
    reporter = reporters.build(name, stream=stream, verbosity=2)
    send(reporter, [*RUN[:2], events.ConfirmationRequested(at=AT, step_id="two", text="continue?")])
    before = stream.getvalue()
    send(reporter, RUN[2:4])
    assert stream.getvalue() == before
    send(reporter, [events.ConfirmationEnded(at=AT, step_id="two"), *RUN[4:]])
    reporter.close()
    assert stream.getvalue().startswith(before)
    assert stream.getvalue().splitlines()[-1] == ADVICE


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


def own_format(*, stream: io.StringIO, **options: object) -> PlainReporter:
    return PlainReporter(stream)


def test_a_format_may_be_an_import_path() -> None:
    stream = io.StringIO()
    send(reporters.build(f"{__name__}.own_format", stream=stream), RUN)
    assert "failed: " in stream.getvalue()


@pytest.mark.parametrize("name", ["desk.formats.build", f"{__name__}.unknown"])
def test_a_format_that_cannot_be_imported_is_an_error(name: str) -> None:
    with pytest.raises(InvalidUsage, match=f'--format: "{name}" cannot be imported: '):
        reporters.factory_of(name)


def test_a_format_is_checked_before_anything_runs(tmp_path: Path) -> None:
    file = tmp_path / "test.yml"
    file.write_text("steps: [noop]")
    for name, message in (("desk.formats.build", "cannot be imported"), ("plane", 'did you mean "plain"?')):
        with pytest.raises(CommandError) as caught:
            call_command("run_runbook", str(file), "--format", name)
        assert message in str(caught.value)
