"""Tests that a reporter delays a run by at most its bound, and is reported once."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from django_runbook.events import Event, StepOutputWritten
from django_runbook.reporters import delivery as delivery_module
from django_runbook.reporters.delivery import DeliveredReporter, Delivery
from tests.patience import PATIENCE_SECONDS, wait_until
from tests.reporters.scenes import RUN, wrote

BOUND = 0.05


class Slow:
    """Keeps events, and waits in front of the first one."""

    def __init__(self, *, fails: bool = False) -> None:
        self.is_released = threading.Event()
        self.events: list[Event] = []
        self.is_closed = False
        self.fails = fails

    def __call__(self, event: Event) -> None:
        self.is_released.wait(PATIENCE_SECONDS)
        self.events.append(event)
        if self.fails:
            raise OSError("unplugged")

    def close(self) -> None:
        self.is_closed = True

    def environ_of(self, step_id: str) -> dict[str, str]:
        return {"STEP": step_id}


@pytest.fixture
def slow() -> Iterator[Slow]:
    one = Slow()
    yield one
    one.is_released.set()


@pytest.fixture
def lines() -> list[str]:
    return []


def delivered(reporter: Slow, lines: list[str], *, seconds: float = PATIENCE_SECONDS) -> DeliveredReporter:
    return DeliveredReporter(reporter, Delivery(title='reporter "oncall"', seconds=seconds, warn=lines.append))


def test_all_events_arrive_in_their_order_before_the_end(slow: Slow, lines: list[str]) -> None:
    reporter = delivered(slow, lines)
    for event in RUN:
        reporter(event)
    assert slow.events == []
    slow.is_released.set()
    reporter.close()
    assert (slow.events, slow.is_closed, lines) == (RUN, True, [])


def test_a_reporter_that_hangs_is_abandoned_at_its_bound(slow: Slow, lines: list[str]) -> None:
    reporter = delivered(slow, lines, seconds=BOUND)
    for event in RUN:
        reporter(event)
    reporter.close()
    assert slow.events == []
    assert lines == ['reporter "oncall" did not finish within 0.05s, and was abandoned']


def test_questions_and_the_end_share_one_bound(slow: Slow, lines: list[str]) -> None:
    reporter = delivered(slow, lines, seconds=BOUND)
    reporter(RUN[0])
    assert [reporter.environ_of("one"), reporter.environ_of("two")] == [{}, {}]
    reporter.close()
    assert lines == ['reporter "oncall" did not finish within 0.05s, and was abandoned']


def test_a_reporter_that_answers_too_late_still_gets_all_events(slow: Slow, lines: list[str]) -> None:
    reporter = delivered(slow, lines, seconds=BOUND)
    reporter(RUN[0])
    assert reporter.environ_of("one") == {}
    slow.is_released.set()
    wait_until(lambda: slow.events, what="the first event")
    for event in RUN[1:]:
        reporter(event)
    wait_until(lambda: slow.is_closed, what="the end")
    reporter.close()
    assert slow.events == RUN


def test_a_reporter_that_fails_is_reported_once_and_gets_all_events(lines: list[str]) -> None:
    broken = Slow(fails=True)
    broken.is_released.set()
    reporter = delivered(broken, lines)
    for event in RUN:
        reporter(event)
    reporter.close()
    assert (broken.events, broken.is_closed) == (RUN, True)
    assert lines == ['reporter "oncall" failed: OSError: unplugged']


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), ValueError("no")])
def test_no_exception_of_a_reporter_reaches_the_run(error: BaseException, lines: list[str]) -> None:
    delivery = Delivery(title="it", seconds=PATIENCE_SECONDS, warn=lines.append)

    def fail() -> None:
        raise error

    delivery.call(fail)
    assert delivery.ask(lambda: "answer", default="") == "answer"
    delivery.finish(lambda: None)
    delivery.wait()
    assert [line.partition(":")[0] for line in lines] == ["it failed"]


def test_the_variables_of_a_step_are_asked_for_after_the_events_before_it(slow: Slow, lines: list[str]) -> None:
    slow.is_released.set()
    reporter = delivered(slow, lines)
    reporter(RUN[0])
    assert reporter.environ_of("one") == {"STEP": "one"}
    assert slow.events == RUN[:1]
    reporter.close()


def test_lines_of_output_are_left_out_and_counted_if_too_many_wait(
    slow: Slow, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_module, "_MAX_WAITING", 3)
    reporter = delivered(slow, lines)
    reporter(RUN[0])
    for number in range(10):
        reporter(wrote("one", str(number)))
    reporter(RUN[-1])
    slow.is_released.set()
    reporter.close()
    kept = [event for event in slow.events if isinstance(event, StepOutputWritten)]
    assert slow.events[-1] == RUN[-1]
    assert lines == [f'reporter "oncall" was too slow: {10 - len(kept)} events left out']


def test_a_machine_without_threads_is_reported(lines: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    reporter = delivered(Slow(), lines)
    for event in RUN:
        reporter(event)
    reporter.close()
    assert lines == ['reporter "oncall" failed: RuntimeError: can\'t start new thread']


def test_what_a_reporter_says_is_masked(lines: list[str]) -> None:
    delivery = Delivery(title="it", seconds=PATIENCE_SECONDS, warn=lines.append, mask=lambda text: text.upper())

    def fail() -> None:
        raise OSError("secret")

    delivery.call(fail)
    delivery.finish(lambda: None)
    delivery.wait()
    assert lines == ["IT FAILED: OSERROR: SECRET"]
