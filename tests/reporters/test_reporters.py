"""Events in, text out."""

from __future__ import annotations

import dataclasses
import datetime
import io
import json
from collections.abc import Iterable

import pytest
from rich.console import Console

from django_runbook import events, reporters
from django_runbook.events import Event
from django_runbook.reporters import jsonl, texts
from django_runbook.reporters.fan_out import FanOut
from django_runbook.reporters.plain import PlainReporter
from django_runbook.reporters.rich_ import RichReporter
from django_runbook.results import Failure, Role, RunResult, RunStatus, StepResult, StepStatus

AT = datetime.datetime(2013, 1, 31, 6, tzinfo=datetime.UTC)
WRONG = Failure(
    error_type="CommandError", message="it went wrong\nand more", exit_code=3, traceback="Traceback\n  File x"
)
BUG = Failure(
    error_type="ValueError", message="oops", exit_code=1, traceback='T\n  File "a.py", line 3, in handle\n    x'
)


def result(step_id: str, status: StepStatus = StepStatus.SUCCEEDED, **more: object) -> StepResult:
    values: dict[str, object] = {
        "attempt_count": 0 if status in {StepStatus.SKIPPED, StepStatus.NOT_RUN} else 1,
        **more,
    }
    return StepResult(step_id=step_id, name=step_id.title(), status=status, duration_seconds=1.25, **values)  # type: ignore[arg-type]  # values are of any type


STEPS = (
    result("one"),
    result("flaky", StepStatus.FAILED, tolerated=True, failure=BUG),
    result("two", StepStatus.FAILED, failure=WRONG, attempt_count=2),
    result("later", StepStatus.NOT_RUN, reason='"two" failed'),
    result("never", StepStatus.SKIPPED, reason="when: params.n > 1"),
)
RUN: list[Event] = [
    events.RunStarted(at=AT, run_id="1", name="Daily", file="daily.yml", step_count=5),
    events.StepStarted(at=AT, step_id="one", name="One", argv=("noop",)),
    events.StepOutputWritten(at=AT, step_id="one", stream="stdout", line="quiet please"),
    events.StepFinished(at=AT, result=STEPS[0]),
    events.StepStarted(at=AT, step_id="group", name="Group"),
    events.StepStarted(at=AT, step_id="flaky", name="Flaky", group_ids=("group",), argv=("flaky",)),
    events.StepFinished(at=AT, result=STEPS[1], group_ids=("group",)),
    events.StepFinished(at=AT, result=result("group"), is_group=True),
    events.StepStarted(at=AT, step_id="two", name="Two", argv=("fail", "--code=3")),
    events.AttemptFailed(at=AT, step_id="two", attempt=1, attempt_count=2, delay_seconds=21, failure=WRONG),
    events.StepOutputWritten(at=AT, step_id="two", stream="stderr", line="[bold]not markup[/bold] ü"),
    events.StepFinished(at=AT, result=STEPS[2]),
    events.StepFinished(at=AT, result=STEPS[3]),
    events.StepFinished(at=AT, result=STEPS[4]),
    events.StopRequested(at=AT, signal_name="SIGTERM", is_immediate=False),
    events.RunFinished(
        at=AT,
        result=RunResult(status=RunStatus.FAILED, exit_code=1, steps=(*STEPS, result("group")), duration_seconds=83),
    ),
]


def plain(listed: Iterable[Event], *, verbosity: int = 1) -> str:
    stream = io.StringIO()
    reporter = PlainReporter(stream, verbosity=verbosity)
    for event in listed:
        reporter(event)
    return stream.getvalue()


def test_plain_is_what_a_person_reads_in_a_mail() -> None:
    assert (
        plain(RUN)
        == """\
Daily: 5 steps (daily.yml)
  ok       One (1.2s)
  group    Group
  ! allowed  Flaky (1.2s): allowed: ValueError: oops
    File "a.py", line 3, in handle
  retry    two: attempt 1 of 2 failed: it went wrong ... (exit 3); next in 21s
! FAILED   Two (1.2s): it went wrong ... (exit 3); 2 attempts
    | [bold]not markup[/bold] ü
    and more
  not run  Later: "two" failed
  skipped  Never: when: params.n > 1
SIGTERM: stopping after the current command
failed: 1 succeeded, 1 failed but allowed, 1 failed, 1 not run, 1 skipped in 1m23s, exit code 1
"""
    )


def test_plain_at_verbosity_0_tells_problems_only() -> None:
    told = plain(RUN, verbosity=0)
    assert "One" not in told
    assert "FAILED   Two" in told
    assert (
        plain(
            [RUN[0], RUN[3], events.RunFinished(at=AT, result=RunResult(status=RunStatus.SUCCEEDED, exit_code=0))],
            verbosity=0,
        )
        == ""
    )


def test_plain_at_verbosity_2_tells_everything_as_it_comes() -> None:
    told = plain(RUN, verbosity=2)
    assert "    | quiet please\n" in told
    assert "  run      fail --code=3\n" in told
    assert "    Traceback\n" in told


def test_plain_keeps_head_and_tail_of_long_output() -> None:
    lines = [events.StepOutputWritten(at=AT, step_id="two", stream="stdout", line=f"line {n}") for n in range(1000)]
    told = plain([RUN[8], *lines, RUN[11]])
    assert "| line 19\n    | ... 940 lines left out ...\n    | line 960\n" in told
    assert told.count("\n") < 80


def test_plain_never_breaks_on_the_encoding_of_its_stream() -> None:
    raw = io.BytesIO()
    reporter = PlainReporter(io.TextIOWrapper(raw, encoding="ascii"))
    for event in RUN:
        reporter(event)
    reporter.close()
    assert b"\\xfc" in raw.getvalue()


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
    # Whoever changes this changes what programs read: raise jsonl.VERSION where a name goes or means something else.
    names = {
        jsonl.name_of(kind): [field.name for field in dataclasses.fields(kind) if field.name != "at"]
        for kind in events.Event.__subclasses__()
    }
    assert names == {
        "run_started": ["run_id", "name", "file", "step_count", "dry_run"],
        "step_started": ["step_id", "name", "group_ids", "role", "argv"],
        "confirmation_requested": ["step_id", "text"],
        "step_output_written": ["step_id", "stream", "line"],
        "attempt_failed": ["step_id", "attempt", "attempt_count", "delay_seconds", "failure"],
        "step_finished": ["result", "group_ids", "is_group"],
        "stop_requested": ["signal_name", "is_immediate"],
        "run_finished": ["result"],
    }


def test_rich_draws_what_happened_and_a_table() -> None:
    stream = io.StringIO()
    reporter = RichReporter(Console(file=stream, width=100, force_terminal=False, highlight=False))
    for event in RUN:
        reporter(event)
    reporter.close()
    told = stream.getvalue()
    for words in (
        "Daily  daily.yml",
        "✓ One  1.2s",
        "! Flaky",
        "✗ Two",
        "[bold]not markup[/bold]",
        "Step",
        "failed: 1 succeeded",
    ):
        assert words in told
    assert "Group" in told


def test_rich_steps_aside_for_a_question_and_ends_when_the_run_breaks_off() -> None:
    stream = io.StringIO()
    reporter = RichReporter(Console(file=stream, width=80, force_terminal=True, highlight=False))
    for event in (*RUN[:2], events.ConfirmationRequested(at=AT, step_id="one", text="Sure?")):
        reporter(event)
    assert stream.getvalue().rstrip().endswith("\x1b[?25h") or "\x1b[?25h" in stream.getvalue()
    reporter(RUN[1])
    reporter.close()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.04, "0.0s"), (9.94, "9.9s"), (9.96, "10s"), (59.6, "1m00s"), (65, "1m05s"), (3600, "1h00m"), (7384, "2h03m")],
)
def test_durations(seconds: float, text: str) -> None:
    assert texts.duration(seconds) == text


def test_a_reporter_is_chosen_by_its_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("TERM", "xterm")
    assert reporters.choose(Terminal()) == "rich"
    assert reporters.choose(io.StringIO()) == "plain"
    monkeypatch.setenv("TERM", "dumb")
    assert reporters.choose(Terminal()) == "plain"
    for name in reporters.REPORTERS:
        reporters.build(name, stream=io.StringIO()).close()


class Broken:
    def __call__(self, event: Event) -> None:
        raise BrokenPipeError("nobody reads")

    def close(self) -> None:
        raise AssertionError("a reporter that was dropped is closed no more")


def test_a_reporter_that_fails_is_told_of_once_and_dropped() -> None:
    errors, good = io.StringIO(), io.StringIO()
    fan_out = FanOut([Broken(), PlainReporter(good)], errors=errors)
    for event in RUN:
        fan_out(event)
    fan_out.close()
    assert errors.getvalue() == "Broken failed and tells no more: BrokenPipeError: nobody reads\n"
    assert "failed: " in good.getvalue()


def test_the_failure_of_a_critical_listener_is_the_callers() -> None:
    def refuse(event: Event) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        FanOut([], critical=[refuse], errors=io.StringIO())(RUN[0])


def test_handlers_that_were_not_due_are_not_counted() -> None:
    steps = (result("one"), result("mail", StepStatus.SKIPPED, role=Role.ON_FAILURE, reason="not due"))
    run = RunResult(status=RunStatus.SUCCEEDED, exit_code=0, steps=steps)
    assert texts.counts(run, group_ids=frozenset()) == "1 succeeded"
