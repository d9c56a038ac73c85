"""Tests what progress shows, when, and where."""

from __future__ import annotations

import io
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import BaseCommand

from django_runbook.batch.parts.progress_command import ProgressCommand
from django_runbook.batch.parts.progress_outputs import default_output
from django_runbook.batch.parts.progress_state import ProgressState
from django_runbook.batch.parts.progress_tracking import ProgressTracker, track
from tests.patience import PATIENCE_SECONDS


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Seen:
    interval_seconds: float = 10.0
    standings: list[ProgressState] = field(default_factory=list)
    lasts: list[bool] = field(default_factory=list)

    def show(self, state: ProgressState, *, is_last: bool) -> None:
        self.standings.append(state)
        self.lasts.append(is_last)

    @property
    def counts(self) -> list[int]:
        return [state.done_count for state in self.standings]


def lines_of(items: Any, **options: Any) -> list[str]:
    stream = io.StringIO()
    for _ in track(items, stream=stream, **options):
        pass
    return stream.getvalue().splitlines()


def test_the_items_are_unchanged() -> None:
    assert list(track([3, 1, 2], stream=io.StringIO())) == [3, 1, 2]


def test_a_log_gets_a_first_and_a_last_line() -> None:
    first, last = lines_of(range(3000), description="Flights")
    assert first == "Flights: 0 of 3,000"
    assert last.startswith("Flights: 3,000 of 3,000 (100%), ")
    assert last.endswith("/s in 0.0s")


def test_an_empty_loop_has_two_lines() -> None:
    assert lines_of([]) == ["0 of 0", "0 of 0 in 0.0s"]


def test_an_iterable_without_a_length_has_no_total() -> None:
    (line,) = lines_of(item for item in "ab")
    assert line.startswith("2, ")


def test_a_counting_function_is_called_when_the_work_takes_a_while() -> None:
    clock, seen, asked = Clock(), Seen(), list[float]()

    def count() -> int:
        asked.append(clock.now)
        return 100

    with ProgressTracker(total=count, output=seen, clock=clock) as progress:
        for done_count in range(1, 30):
            clock.now += 1
            progress.update(done_count)
    assert [state.total_count for state in seen.standings] == [None, 100, 100, 100]
    assert len(asked) == 1


def test_short_work_is_never_counted_and_has_its_total_at_its_end() -> None:
    def count() -> int:
        raise AssertionError

    (line,) = lines_of((item for item in "ab"), total=count)
    assert line.startswith("2 of 2 (100%), ")


def test_short_aborted_work_has_no_total() -> None:
    reported: list[tuple[int, int | None, int]] = []
    for _ in islice(track("abc", total=lambda: 3, report=lambda *counts: reported.append(counts)), 2):
        pass
    assert reported == [(0, None, 0), (1, None, 0)]


def test_a_given_total_is_taken() -> None:
    assert lines_of((item for item in "ab"), total=4)[1].startswith("2 of 4 (50%)")


def test_the_interval_applies_between_the_first_and_the_last_output() -> None:
    clock, seen = Clock(), Seen()
    with ProgressTracker(total=100, output=seen, clock=clock) as progress:
        for done_count in range(1, 100):
            clock.now += 1
            progress.update(done_count)
    assert seen.counts == [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 99]
    assert seen.lasts == [False] * 10 + [True]


def test_the_last_item_of_an_aborted_loop_does_not_count() -> None:
    reported: list[tuple[int, int | None, int]] = []
    for _ in islice(track("abc", report=lambda *counts: reported.append(counts)), 2):
        pass
    assert reported == [(0, 3, 0), (1, 3, 0)]


def test_an_exception_in_the_loop_closes_the_progress_at_once() -> None:
    reported: list[tuple[int, int | None, int]] = []
    with pytest.raises(ZeroDivisionError):  # noqa: PT012 - the loop is what raises
        for item in track([1, 0], report=lambda *counts: reported.append(counts)):
            1 / item
    assert reported[-1] == (1, 2, 0)


def test_rate_and_remaining_time_exclude_the_work_of_an_earlier_process() -> None:
    clock, seen = Clock(), Seen()
    progress = ProgressTracker(total=1000, done_count=500, output=seen, clock=clock)
    clock.now += 10
    progress.update(600, failed_count=2)
    assert seen.standings[0].count_text == "500 of 1,000 (50%)"
    assert seen.standings[1].count_text == "600 of 1,000 (60%), 2 failed"
    assert seen.standings[1].speed_text == "10/s, 40s left"


def test_a_slow_rate_is_per_minute() -> None:
    state = ProgressState(
        description="", done_count=1, total_count=None, failed_count=0, elapsed_seconds=20.0, rate=1 / 20
    )
    assert state.speed_text == "3.0/min"


def test_more_than_the_total_shows_no_percentage_and_no_remaining_time() -> None:
    state = ProgressState(description="", done_count=9, total_count=6, failed_count=0, elapsed_seconds=1.0, rate=9.0)
    assert state.count_text == "9 of 6"
    assert state.speed_text == "9.0/s"


def test_closing_twice_shows_one_end() -> None:
    seen = Seen()
    progress = ProgressTracker(output=seen)
    progress.close()
    progress.close()
    assert seen.lasts == [False, True]


class Tracking(ProgressCommand):
    def handle(self, *args: Any, **options: Any) -> None:
        for _ in self.track("abc", description="Letters"):
            pass


class Telling(ProgressCommand):
    def handle(self, *args: Any, **options: Any) -> None:
        with self.progress(total=10, done_count=4, failed_count=1) as progress:
            progress.update(10, failed_count=3)


class Plain(BaseCommand):
    stealth_options = ("progress",)

    def handle(self, *args: Any, **options: Any) -> None:
        for _ in track("abc", description="Letters", report=options.get("progress")):
            pass


def reported_by(command: BaseCommand) -> Iterator[tuple[int, int | None, int]]:
    reported: list[tuple[int, int | None, int]] = []
    errors = io.StringIO()
    call_command(command, stderr=errors, progress=lambda *counts: reported.append(counts))
    assert errors.getvalue() == ""
    yield from reported


@pytest.mark.parametrize("command", [Tracking(), Plain()], ids=["inherited", "plain"])
def test_a_runner_receives_progress_instead_of_the_stream(command: BaseCommand) -> None:
    assert list(reported_by(command)) == [(0, 3, 0), (3, 3, 0)]


def test_a_runner_receives_the_number_of_failures() -> None:
    assert list(reported_by(Telling())) == [(4, 10, 1), (10, 10, 3)]


def test_a_command_writes_its_progress_to_standard_error() -> None:
    out, errors = io.StringIO(), io.StringIO()
    call_command(Tracking(), "--verbosity=2", stdout=out, stderr=errors)
    assert out.getvalue() == ""
    assert errors.getvalue().splitlines()[0] == "Letters: 0 of 3"


@pytest.mark.parametrize("verbosity", [0, 1])
def test_a_command_without_a_terminal_is_silent_by_default(verbosity: int) -> None:
    errors = io.StringIO()
    call_command(Tracking(), f"--verbosity={verbosity}", stderr=errors)
    assert errors.getvalue() == ""


@pytest.mark.parametrize(
    ("verbosity", "is_terminal", "kind"),
    [
        (0, True, "NullOutput"),
        (1, True, "ProgressBar"),
        (2, True, "ProgressBar"),
        (1, False, "NullOutput"),
        (2, False, "LineOutput"),
    ],
)
def test_progress_is_shown_on_the_right_output(
    monkeypatch: pytest.MonkeyPatch,
    verbosity: int,
    is_terminal: bool,  # noqa: FBT001 - a parameter of the test
    kind: str,
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: is_terminal)
    assert type(default_output(stream=stream, verbosity=verbosity)).__name__ == kind


LOOP = "from django_runbook.batch.parts.progress_tracking import track\nfor item in track('abc', description='Letters [x]'): pass\n"


def on_terminal(code: str, **environ: str) -> str:
    leader, follower = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "120", **environ}
    subprocess.run([sys.executable, "-c", code], stderr=follower, check=True, timeout=PATIENCE_SECONDS, env=env)
    os.close(follower)
    pieces = []
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:  # raised by Linux at the end of a terminal's output
            break
        if not piece:
            break
        pieces.append(piece)
    os.close(leader)
    return b"".join(pieces).decode()


@pytest.mark.slow
def test_a_terminal_gets_a_bar_with_rate() -> None:
    written = on_terminal(LOOP)
    assert "Letters [x]" in written
    assert "━" in written
    assert "3 of 3 (100%)" in written
    assert "/s" in written


@pytest.mark.slow
def test_a_terminal_that_cannot_draw_gets_lines() -> None:
    assert on_terminal(LOOP, TERM="dumb").splitlines()[0] == "Letters [x]: 0 of 3"


@pytest.mark.slow
def test_rich_is_imported_only_to_draw_a_bar() -> None:
    code = LOOP + "import sys\nassert 'rich' not in sys.modules\n"
    subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL, check=True, timeout=PATIENCE_SECONDS)
