"""Events in, calls of reporters out."""

from __future__ import annotations

import io

import pytest

from django_runbook import events
from django_runbook.events import Event
from django_runbook.reporters.fan_out import FanOut
from django_runbook.reporters.plain import PlainReporter
from tests.reporters.scenes import AT, RUN


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
