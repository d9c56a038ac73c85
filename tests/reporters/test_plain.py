"""Events in, plain lines out."""

from __future__ import annotations

import io
from collections.abc import Iterable

import pytest

from django_runbook import events
from django_runbook.events import Event
from django_runbook.reporters.plain import PlainReporter
from django_runbook.results import RunResult, RunStatus, StepStatus
from django_runbook.structs import replace
from tests.reporters.scenes import AT, BUG, CONCURRENT, QUEUED, RUN, ended, finished, progressed, send, started, wrote


def plain(listed: Iterable[Event], *, verbosity: int = 1) -> str:
    stream = io.StringIO()
    reporter = PlainReporter(stream, verbosity=verbosity)
    send(reporter, listed)
    return stream.getvalue()


def test_plain_is_readable_in_a_mail() -> None:
    assert (
        plain(RUN)
        == """\
Daily: 5 steps (daily.yml)
  ok       One (one, 1.2s)
  group    Group (group)
  ! ignored  Flaky (flaky, 1.2s): ValueError: oops
    File "a.py", line 3, in handle
  retry    two: attempt 1 of 2 failed: it went wrong ... (exit 3); next in 21s
! FAILED   Two (two, 1.2s): it went wrong ... (exit 3); 2 attempts
    | ... attempt 2 ...
    | [bold]not markup[/bold] ü
    and more
  not run  Later (later): "two" failed
  skipped  Never (never): when: params.n > 1
SIGTERM: stopping after the current command
failed: 1 succeeded, 1 failed but ignored, 1 failed, 1 not run, 1 skipped in 1m23s, exit code 1
run 1f0d898b failed; resume with: python manage.py run_runbook daily.yml --resume 1f0d898b
"""
    )


def test_plain_at_verbosity_0_shows_only_problems() -> None:
    output = plain(RUN, verbosity=0)
    assert "One" not in output
    assert "FAILED   Two" in output
    assert (
        plain(
            [RUN[0], RUN[3], events.RunFinished(at=AT, result=RunResult(status=RunStatus.SUCCEEDED, exit_code=0))],
            verbosity=0,
        )
        == ""
    )


def test_plain_at_verbosity_2_shows_everything_immediately() -> None:
    output = plain(RUN, verbosity=2)
    assert "    | quiet please\n" in output
    assert "  run      fail --code=3\n" in output
    assert "    Traceback\n" in output


def test_plain_keeps_head_and_tail_of_long_output() -> None:
    lines = [events.StepOutputWritten(at=AT, step_id="two", stream="stdout", line=f"line {n}") for n in range(1000)]
    output = plain([RUN[8], *lines, RUN[11]])
    assert "| line 19\n    | ... 940 lines omitted ...\n    | line 960\n" in output
    assert output.count("\n") < 80


def test_plain_never_fails_on_the_encoding_of_its_stream() -> None:
    raw = io.BytesIO()
    reporter = PlainReporter(io.TextIOWrapper(raw, encoding="ascii"))
    send(reporter, RUN)
    reporter.close()
    assert b"\\xfc" in raw.getvalue()


def test_plain_never_mixes_the_output_of_concurrent_steps() -> None:
    assert (
        plain(CONCURRENT, verbosity=2)
        == """\
Nightly: 3 steps (nightly.yml)
  loop     Import (import): 3 items
    run      import --n=1
    run      import --n=2
    run      import --n=3
    ok       Import[2] (import[2], 1.2s)
    | first of 2
    | second of 2
  ! FAILED   Import[3] (import[3], 1.2s): ValueError: oops
    | first of 3
    | second of 3
    T
      File "a.py", line 3, in handle
        x
    ok       Import[1] (import[1], 1.2s)
    | first of 1
    | second of 1
    | third of 1
! FAILED   Import (import, 1.2s): "Import[3]" (import[3]) failed
failed: 2 succeeded, 1 failed in 2.0s, exit code 1
"""
    )


def test_plain_shows_only_the_output_of_the_failed_item() -> None:
    output = plain(CONCURRENT)
    assert (
        "  ! FAILED   Import[3] (import[3], 1.2s): ValueError: oops\n    | first of 3\n    | second of 3\n    File"
        in output
    )
    assert "of 1\n" not in output
    assert "of 2\n" not in output


def test_plain_separates_the_output_of_attempts() -> None:
    retry = events.AttemptFailed(at=AT, step_id="two", attempt=1, attempt_count=2, delay_seconds=1, failure=BUG)
    listed = [
        started("two"),
        wrote("two", "begins"),
        retry,
        wrote("two", "again"),
        finished("two", StepStatus.FAILED, failure=BUG, attempt_count=2),
    ]
    assert "    | begins\n    | ... attempt 2 ...\n    | again\n" in plain(listed)
    assert "attempt 2 ..." not in plain([*listed[:3], listed[-1]])


def test_plain_discards_the_earlier_output_of_a_step_in_a_retried_group() -> None:
    failed = finished("two", StepStatus.FAILED, failure=BUG)
    output = plain([started("two"), wrote("two", "first time"), failed, started("two"), wrote("two", "second"), failed])
    assert output.count("first time") == output.count("second") == 1


def test_plain_reports_the_awaited_lock_and_why_nothing_was_run() -> None:
    holder = "nightly, process 12 on db1, since 2013-01-31T06:00:00+01:00"
    waited = [
        events.LockAwaited(at=AT, step_id="", name="nightly", holder=holder),
        events.LockAwaited(at=AT, step_id="import", name="load", holder=holder),
    ]
    reason = f'the lock "nightly" is held by {holder}'
    refused = RunResult(status=RunStatus.FAILED, exit_code=75, reason=reason)
    assert (
        plain([*waited, events.RunFinished(at=AT, result=refused)])
        == f"""\
  waiting  {reason}
  waiting  import: {reason.replace("nightly", "load", 1)}
failed: {reason}; nothing to do in 0.0s, exit code 75
"""
    )


def test_plain_reports_progress_at_most_every_ten_seconds() -> None:
    listed = [progressed("fill", 100 * second, 4000, seconds=second / 2, failed=second // 20) for second in range(60)]
    assert (
        plain([started("fill"), *listed, finished("fill")])
        == """\
  progress fill: 2,000 of 4,000 (50%), 1 failed, 200/s, 10s left
  progress fill: 4,000 of 4,000 (100%), 2 failed, 200/s
  ok       Fill (fill, 1.2s)
"""
    )


def test_progress_without_a_total_and_of_a_resumed_step_has_the_current_pace() -> None:
    listed = [progressed("fill", 1_000_000 + second, None, seconds=second) for second in range(0, 61, 5)]
    output = plain([started("fill"), *listed])
    assert "  progress fill: 1,000,060, 1.0/s\n" in output


@pytest.mark.parametrize("verbosity", [1, 2])
def test_plain_shows_partial_output_if_the_run_is_aborted(verbosity: int) -> None:
    stream = io.StringIO()
    reporter = PlainReporter(stream, verbosity=verbosity)
    send(reporter, CONCURRENT[:11])
    reporter.close()
    reporter.close()
    assert stream.getvalue().endswith(
        "! aborted  Import[1] (import[1])\n    | first of 1\n    | second of 1\n"
        "! aborted  Import[2] (import[2])\n    | first of 2\n    | second of 2\n"
        "! aborted  Import[3] (import[3])\n    | first of 3\n    | second of 3\n"
    )


def test_plain_at_verbosity_0_reports_a_run_with_a_warning() -> None:
    assert plain([ended([], RunStatus.WARNING)], verbosity=0) == "warning: nothing to do in 2.0s\n"
    assert plain([ended([], RunStatus.SUCCEEDED)], verbosity=0) == ""


def test_plain_shows_each_concurrent_group_in_one_piece() -> None:
    """Interleaved steps of two groups are below their own group, with each error once."""
    top, left, right = ("parallel",), ("parallel", "left"), ("parallel", "right")
    inner = (*right, "inner")
    inside = replace(BUG, message='step "r2": oops', cause='"R2" (r2)')
    listed = [
        started("parallel", argv=None),
        started("left", argv=None, group_ids=top, is_concurrent=True),
        started("right", argv=None, group_ids=top, is_concurrent=True),
        started("inner", argv=None, group_ids=right, is_concurrent=True),
        *(
            started(name, group_ids=ids, is_concurrent=True)
            for name, ids in (("l1", left), ("r1", inner), ("r2", inner))
        ),
        finished("r1", group_ids=inner),
        finished("l1", group_ids=left),
        finished("r2", StepStatus.FAILED, failure=BUG, group_ids=inner),
        finished("inner", StepStatus.FAILED, failure=inside, is_group=True, group_ids=right),
        finished("left", is_group=True, group_ids=top),
        finished("right", StepStatus.FAILED, failure=inside, is_group=True, group_ids=top),
        finished("parallel", StepStatus.FAILED, failure=inside, is_group=True),
    ]
    assert (
        plain(listed)
        == """\
  group    Parallel (parallel)
    group    Left (left)
      ok       L1 (l1, 1.2s)
    group    Right (right)
      group    Inner (inner)
        ok       R1 (r1, 1.2s)
      ! FAILED   R2 (r2, 1.2s): ValueError: oops
    File "a.py", line 3, in handle
    ! FAILED   Inner (inner, 1.2s): "R2" (r2) failed
  ! FAILED   Right (right, 1.2s): "R2" (r2) failed
! FAILED   Parallel (parallel, 1.2s): "R2" (r2) failed
"""
    )
    cut = io.StringIO()
    reporter = PlainReporter(cut)
    send(reporter, listed[:8])
    reporter.close()
    # An aborted run shows its output too.
    assert "ok       R1 (r1, 1.2s)" in cut.getvalue()


def test_plain_shows_the_output_of_commands_in_a_dry_run() -> None:
    start = events.RunStarted(at=AT, run_id="7f", name="Nightly", file="nightly.yml", step_count=1, dry_run=True)
    lines = [wrote("purge", f"would delete {n}") for n in range(100)]
    assert "  ok       Purge (purge, 1.2s)\n    | would delete 0\n" in plain(
        [start, started("purge"), *lines, finished("purge")]
    )
    assert plain([start, started("purge"), *lines, finished("purge")]).count("would delete") == 100
    assert "would" not in plain([CONCURRENT[0], started("purge"), *lines, finished("purge")])


def test_plain_names_the_runbook_at_verbosity_0() -> None:
    assert plain(RUN, verbosity=0).splitlines()[-2].startswith("Daily: failed: 1 succeeded")


def test_plain_writes_nothing_between_a_question_and_its_answer() -> None:
    stream = io.StringIO()
    reporter = PlainReporter(stream)
    reporter(events.ConfirmationRequested(at=AT, step_id="two", text="Sure?"))
    stream.write("two: Sure? [y/N] ")
    asked = stream.getvalue()
    send(reporter, [events.HistoryAwaited(at=AT, reason="away"), finished("one")])
    assert stream.getvalue() == asked
    reporter(events.ConfirmationEnded(at=AT, step_id="two"))
    lines = stream.getvalue()[len(asked) :].splitlines()
    assert [line.split()[0] for line in lines] == ["waiting", "ok"]


def test_plain_shows_deferred_lines_if_the_run_is_aborted_during_a_question() -> None:
    stream = io.StringIO()
    reporter = PlainReporter(stream)
    send(reporter, [events.ConfirmationRequested(at=AT, step_id="two", text="Sure?"), finished("one")])
    assert stream.getvalue() == ""
    reporter.close()
    assert stream.getvalue().split()[0] == "ok"


def reported_about_workers(listed: Iterable[Event], *, verbosity: int = 1) -> list[str]:
    lines = plain(listed, verbosity=verbosity).splitlines()
    return [line.strip() for line in lines if line.split()[0] in {"queued", "claimed"}]


ALL = [*QUEUED, *(finished(f"import[{n}]", group_ids=("import",)) for n in (1, 2, 3))]


def test_plain_reports_the_queue_and_the_worker_of_each_step_but_of_a_loop_only_once() -> None:
    assert reported_about_workers(ALL) == [
        "queued   one on heavy",
        "claimed  one by process 4242 on worker-1",
        "queued   import[1] on heavy",
        "claimed  import[2] by process 2 on worker-2",
    ]
    everything = reported_about_workers(ALL, verbosity=2)
    assert len(everything) == 7
    assert {"queued   import[3] on heavy", "claimed  import[1] by process 1 on worker-2"} <= set(everything)
    assert plain(ALL, verbosity=0) == ""


def test_plain_reports_a_queued_step_before_its_concurrent_group_ends() -> None:
    stream = io.StringIO()
    reporter = PlainReporter(stream)
    inside = started("one", group_ids=("group",), is_concurrent=True)
    send(reporter, [started("group", argv=None, is_concurrent=True), inside, QUEUED[1]])
    assert stream.getvalue() == "  queued   one on heavy\n"
    reporter.close()


def sharded(count: int, *, seconds: int) -> list[Event]:
    """A loop that reports the sum of its items, second by second."""
    listed: list[Event] = [started("fill", argv=None, item_count=count)]
    items = [f"fill[{number}]" for number in range(1, count + 1)]
    listed += [started(item, group_ids=("fill",), is_concurrent=True) for item in items]
    for second in range(1, seconds + 1):
        for item in items:
            listed.append(progressed(item, 100 * second, 4000, seconds=second))
            listed.append(progressed("fill", 100 * second * count, 4000 * count, seconds=second))
    return [*listed, *(finished(item, group_ids=("fill",)) for item in items), finished("fill", is_group=True)]


def test_plain_reports_the_progress_of_all_shards_in_one_line() -> None:
    begin = "  loop     Fill (fill): 3 items\n  progress fill: 3,000 of 12,000 (25%), 300/s, 30s left\n"
    assert plain(sharded(3, seconds=11)).startswith(f"{begin}    ok ")


def test_plain_at_verbosity_2_reports_the_progress_of_each_shard_as_well() -> None:
    output = plain(sharded(2, seconds=11), verbosity=2)
    named = [line.split()[1] for line in output.splitlines() if "progress" in line]
    assert named == ["fill[1]:", "fill:", "fill[2]:"]
