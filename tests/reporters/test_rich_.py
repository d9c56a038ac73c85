"""Events in, the screen of a terminal out."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

from django_runbook import events, reporters
from django_runbook.events import Event
from django_runbook.reporters.live_display import Activities, Terminal
from django_runbook.reporters.rich_ import RichReporter
from django_runbook.results import RunStatus, StepStatus
from tests.reporters.scenes import (
    AT,
    BUG,
    CONCURRENT,
    QUEUED,
    RUN,
    ended,
    finished,
    progressed,
    send,
    started,
    wrote,
)

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


def reporter_to(stream: io.StringIO, *, verbosity: int = 1, force_terminal: bool = False) -> RichReporter:
    console = Terminal(stream, width=100, height=40, force_terminal=force_terminal)
    return RichReporter(console, verbosity=verbosity)


def drawn(listed: list[Event], *, verbosity: int = 1) -> str:
    """The final screen after these events, without spaces at the ends of lines."""
    stream = io.StringIO()
    reporter = reporter_to(stream, verbosity=verbosity)
    send(reporter, listed)
    reporter.close()
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def live(starts: list[events.StepStarted], others: list[Event], *, height: int = 40) -> list[str]:
    """The lines of the live display, without the spinners."""
    console = Terminal(io.StringIO(), width=80, height=height, force_terminal=False, get_time=lambda: 7.0)
    now = Activities(console)
    now.step_count = 9
    for start in starts:
        now.start(start)
    for event in others:
        match event:
            case events.StepOutputWritten():
                running = now.get(event.step_id)
                assert running is not None
                running.lines.append(event.line)
            case events.StepProgress():
                running = now.get(event.step_id)
                assert running is not None
                running.pace.add(event)
            case events.LockAwaited():
                now.wait(event)
    with console.capture() as captured:
        console.print(now)
    return [line[2:].rstrip() for line in captured.get().splitlines()]


def test_rich_draws_what_happened_and_a_table() -> None:
    stream = io.StringIO()
    reporter = reporter_to(stream)
    send(reporter, RUN)
    reporter.close()
    output = stream.getvalue()
    for words in (
        "Daily  daily.yml",
        "✓ One  one  1.2s",
        "! Flaky",
        "✗ Two",
        "[bold]not markup[/bold]",
        "Step",
        "failed: 1 succeeded",
    ):
        assert words in output
    assert "Group" in output


def test_rich_pauses_for_a_question_and_closes_if_the_run_is_aborted() -> None:
    stream = io.StringIO()
    reporter = reporter_to(stream, force_terminal=True)
    send(reporter, (*RUN[:2], events.ConfirmationRequested(at=AT, step_id="one", text="Sure?")))
    assert stream.getvalue().count(HIDE_CURSOR) == stream.getvalue().count(SHOW_CURSOR) == 1
    reporter(RUN[1])
    assert stream.getvalue().count(HIDE_CURSOR) == 1
    reporter(events.ConfirmationEnded(at=AT, step_id="one"))
    assert stream.getvalue().count(HIDE_CURSOR) == 2
    reporter.close()
    assert stream.getvalue().count(SHOW_CURSOR) == 2


def test_rich_shows_loops_and_groups_above_their_steps() -> None:
    output = drawn(CONCURRENT)
    assert "▸ Import  import  3 items\n" in output
    assert output.endswith("""
Step                    Status  Time  Note
Import  import          failed  1.2s  3 items; "Import[3]" (import[3]) failed
  Import[3]  import[3]  failed  1.2s  ValueError: oops
failed: 2 succeeded, 1 failed in 2.0s, exit code 1""")


def test_rich_omits_successful_items_of_a_long_loop() -> None:
    items = [finished(f"fill[{n}]", group_ids=("fill",)) for n in range(50)]
    bad = finished("fill[50]", StepStatus.FAILED, failure=BUG, ignored=True, group_ids=("fill",))
    listed: list[Event] = [started("fill", argv=None, item_count=51), *items, bad, finished("fill", is_group=True)]
    output = drawn([*listed, ended(listed, RunStatus.WARNING)])
    table = output[output.index("Step ") :]
    assert (
        "Fill  fill            warning  1.2s  51 items\n  Fill[50]  fill[50]  ignored  1.2s  ValueError: oops\n"
        in table
    )
    assert "Fill[49]" not in table
    assert "50 succeeded, 1 failed but ignored" in table


def test_rich_names_the_step_of_each_line_of_concurrent_steps() -> None:
    output = drawn(CONCURRENT, verbosity=2)
    assert "    Import[1] │ first of 1\n    Import[2] │ first of 2\n" in output
    assert "    quiet please\n" in drawn(RUN, verbosity=2)


def test_rich_shows_only_the_output_of_the_failed_step() -> None:
    output = drawn(CONCURRENT)
    assert "  ✗ Import[3]  import[3]  1.2s  ValueError: oops\n    │ first of 3\n    │ second of 3\n" in output
    assert "of 1\n" not in output
    assert "of 2\n" not in output


def test_the_live_display_shows_all_running_steps_with_their_last_lines() -> None:
    both = [started("one", argv=("one", "--all")), started("two")]
    lines = [wrote(step_id, f"line {n} of {step_id}") for n in range(9) for step_id in ("one", "two")]
    shown = live(both, [*lines, progressed("two", 0, 400, seconds=0), progressed("two", 100, 400, seconds=4)])
    assert shown == [
        f" One  one --all{' ' * 54}1/9  0.0s",
        *(f"  line {n} of one" for n in range(4, 9)),
        f" Two  two{' ' * 65}0.0s",
        " ━━━━━━━╸                       100 of 400 (25%), 25/s, 12s left",
        *(f"  line {n} of two" for n in range(4, 9)),
    ]


@pytest.mark.parametrize(("height", "step_count"), [(24, 3), (24, 15), (24, 100), (10, 100), (5, 3), (3, 2)])
def test_the_live_display_never_fills_the_terminal(height: int, step_count: int) -> None:
    starts = [started(f"s{n}", argv=("x",)) for n in range(step_count)]
    lines = [wrote(start.step_id, f"line {n}") for start in starts for n in range(9)]
    shown = live(starts, list(lines), height=height)
    assert 0 < len(shown) <= max(height - 3, 2)
    if step_count == 100:
        assert shown[-1].endswith("more")


def test_the_live_display_shows_the_awaited_lock_until_the_step_continues() -> None:
    waited = events.LockAwaited(at=AT, step_id="", name="nightly", holder="another process")
    assert live([], [waited])[0].strip().startswith('lock "nightly"')
    stream = io.StringIO()
    reporter = reporter_to(stream)
    send(reporter, [RUN[0], waited, RUN[1]])
    assert not reporter._activities._waiting
    reporter.close()
    assert '⧗ the lock "nightly" is held by another process' in stream.getvalue()


def test_rich_draws_nothing_between_a_question_and_its_answer() -> None:
    stream = io.StringIO()
    reporter = reporter_to(stream, force_terminal=True, verbosity=2)
    send(reporter, [RUN[0], started("one", is_concurrent=True)])
    reporter(events.ConfirmationRequested(at=AT, step_id="two", text="Sure?"))
    asked = stream.getvalue()
    send(reporter, [wrote("one", "a line"), finished("one"), started("three"), finished("three")])
    assert stream.getvalue() == asked
    send(reporter, [events.ConfirmationEnded(at=AT, step_id="two"), started("two")])
    reporter.close()
    answered = stream.getvalue()[len(asked) :]
    assert answered.index("a line") < answered.index("✓ One") < answered.index("✓ Three") < answered.index("$ two")


def test_rich_writes_to_an_ascii_terminal() -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    reporter = reporters.build("rich", stream=stream)
    send(reporter, RUN)
    reporter.close()
    stream.flush()
    assert b"\\u2713 One" in raw.getvalue()
    assert b"\\xfc" in raw.getvalue()


class Counting(Terminal):
    print_count = 0

    def print(self, *shown: Any, **options: Any) -> None:
        self.print_count += 1
        super().print(*shown, **options)


def test_all_lines_are_shown_in_order_without_redrawing_for_each() -> None:
    stream = io.StringIO()
    console = Counting(stream, width=100, height=40, force_terminal=True)
    reporter = RichReporter(console, verbosity=2)
    send(reporter, [RUN[0], started("one"), *(wrote("one", f"line {n}!") for n in range(3000))])
    reporter.close()
    assert re.findall(r"    \x1b\[2mline (\d+)!", stream.getvalue()) == [str(n) for n in range(3000)]
    assert console.print_count < 1500


def test_lines_are_shown_when_the_display_is_redrawn() -> None:
    stream = io.StringIO()
    reporter = reporter_to(stream, force_terminal=True, verbosity=2)
    send(reporter, [RUN[0], started("one"), wrote("one", "a line")])
    assert reporter._display is not None
    reporter._display.refresh()
    assert "    \x1b[2ma line" in stream.getvalue()
    reporter.close()


class Gone(io.StringIO):
    """A terminal that is closed during a run."""

    is_closed = False

    def write(self, text: str) -> int:
        if self.is_closed:
            raise OSError(5, "Input/output error")
        return super().write(text)


def test_an_error_in_the_display_thread_is_raised_by_the_reporter() -> None:
    stream = Gone()
    reporter = reporter_to(stream, force_terminal=True)
    send(reporter, [RUN[0], started("one")])
    stream.is_closed = True
    assert reporter._display is not None
    reporter._display.refresh()
    with pytest.raises(OSError, match="Input/output error"):
        reporter(wrote("one", "a line"))
    stream.is_closed = False
    reporter.close()


def test_a_run_of_many_steps_shows_each_once_on_a_small_terminal() -> None:
    stream = io.StringIO()
    console = Terminal(stream, width=80, height=24, force_terminal=True)
    reporter = RichReporter(console)
    listed: list[Event] = [RUN[0]]
    for n in range(100):
        listed += [started(f"s{n}"), finished(f"s{n}")]
    send(reporter, [*listed, ended(listed, RunStatus.SUCCEEDED)])
    reporter.close()
    shown = [line for line in stream.getvalue().splitlines() if "✓" in line]
    assert len(shown) == 100
    assert "Status" not in stream.getvalue()


def test_the_final_table_has_only_problems_and_the_groups_around_them() -> None:
    listed: list[Event] = [
        started("g", argv=None),
        finished("good", group_ids=("g",)),
        finished("bad", StepStatus.FAILED, failure=BUG, ignored=True, group_ids=("g",)),
        finished("g", is_group=True),
        finished("other"),
    ]
    output = drawn([*listed, ended(listed, RunStatus.WARNING)])
    assert output.endswith("""
Step        Status   Time  Note
G  g        warning  1.2s
  Bad  bad  ignored  1.2s  ValueError: oops
warning: 2 succeeded, 1 failed but ignored in 2.0s""")


def test_rich_shows_the_output_of_commands_in_a_dry_run() -> None:
    start = events.RunStarted(at=AT, run_id="7f", name="Nightly", file="nightly.yml", step_count=1, dry_run=True)
    listed: list[Event] = [start, started("purge"), wrote("purge", "would delete 3"), finished("purge")]
    assert "  1.2s\n    │ would delete 3" in drawn(listed)
    assert "would" not in drawn([CONCURRENT[0], *listed[1:]])


def test_rich_shows_the_queue_or_the_worker_of_each_running_step() -> None:
    stream = io.StringIO()
    reporter = reporter_to(stream)
    send(reporter, QUEUED)
    running = {name: one.place for name, one in reporter._activities._running.items()}
    assert running == {
        "import[1]": "claimed by process 1 on worker-2",
        "import[2]": "claimed by process 2 on worker-2",
        "import[3]": "queued on heavy",
    }
    with reporter._console.capture() as captured:
        reporter._console.print(reporter._activities)
    assert "Import[3]  queued on heavy  import" in captured.get()
    reporter.close()
    assert "claimed" not in drawn(QUEUED)
    assert "⧗ import[3] queued on heavy" in drawn(QUEUED, verbosity=2)


def test_the_live_display_shows_the_progress_of_all_shards_once_it_is_known() -> None:
    reporter = reporter_to(io.StringIO())
    loop, item = started("fill", argv=None, item_count=2), started("fill[1]", group_ids=("fill",))
    summed = [progressed("fill", 100 * second, 8000, seconds=second) for second in range(3)]
    seen: list[list[str]] = []
    for event in (loop, item, *summed, finished("fill[1]"), finished("fill", is_group=True)):
        reporter(event)
        running = ((step_id, reporter._activities.get(step_id)) for step_id in ("fill", "fill[1]"))
        seen.append([f"{step_id} {one.pace.text()}".strip() for step_id, one in running if one is not None])
    reporter.close()
    assert seen == [
        [],
        ["fill[1]"],
        ["fill 0 of 8,000", "fill[1]"],
        ["fill 100 of 8,000 (1%), 100/s, 1m19s left", "fill[1]"],
        ["fill 200 of 8,000 (2%), 100/s, 1m18s left", "fill[1]"],
        ["fill 200 of 8,000 (2%), 100/s, 1m18s left"],
        [],
    ]
