"""A run that continues between two polls, and what its follower says."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext

from django_runbook import conf
from django_runbook.journal.reading.following import Follower
from django_runbook.locks import factory
from django_runbook.locks.base import Lock
from django_runbook.models import RUNNING, Run, StepRun
from django_runbook.results import StepStatus
from tests import journal_data

pytestmark = pytest.mark.django_db


@pytest.fixture
def started() -> Iterator[tuple[Run, Lock]]:
    """Store a running run with one step that has ended, and hold its lock."""
    new_lock = factory.new_factory(conf.read(), what="the run")
    run = journal_data.new_run(status=RUNNING, lock_backend=new_lock.identity)
    journal_data.Writer(run).step("migrate", output_head="long ago")
    lock = new_lock(run.lock_name)
    assert lock.acquire() is None
    yield run, lock
    lock.release()


def followed(run: Run, *moments: Callable[[], object]) -> list[str]:
    """Return the lines of a follower; what happens between two polls is called instead of a wait."""
    waiting = iter(moments)
    new_lock = factory.new_factory(conf.read(), what="the reader")
    follower = Follower(Run.objects.get(pk=run.pk), new_lock=new_lock, using="default")

    def wait(seconds: float) -> None:
        next(waiting)()

    return list(follower.lines(wait))


def end(run: Run, status: str = "succeeded", exit_code: int = 0) -> None:
    Run.objects.filter(pk=run.pk).update(status=status, exit_code=exit_code)


def test_new_lines_are_shown_once_and_results_follow_the_output(started: tuple[Run, Lock]) -> None:
    run, _ = started
    step = journal_data.Writer(run).step("backfill", 1, None, status=RUNNING, output_head="one")

    def note() -> None:
        step.note(using="default", output_head="one\ntwo", done_count=5, total_count=10)

    def finish() -> None:
        step.finish(StepStatus.FAILED, using="default", output_head="one\ntwo\nthree", message="no room")
        journal_data.Writer(run).step("report", output_head="sent")
        end(run, "failed", 1)

    assert followed(run, note, lambda: None, finish) == [
        f"Nightly maintenance (runbooks/nightly.yml), run {run.pk[:8]}",
        "  ✓ migrate: succeeded, 1.0s",
        "  … backfill: running",
        "    backfill | one",
        "    backfill | two",
        "    backfill | three",
        "  ✗ backfill: failed, 5 of 10: no room",
        "    report | sent",
        "  ✓ report: succeeded, 1.0s",
        "failed, exit code 1",
    ]


def test_the_steps_of_a_poll_are_in_the_order_of_their_ends(started: tuple[Run, Lock]) -> None:
    run, _ = started
    rows = journal_data.Writer(run)
    group = rows.group("data", 2, None, status=RUNNING)

    def proceed() -> None:
        rows.step("import", 2, 7, group_ids=["data"])
        group.finish(StepStatus.SUCCEEDED, using="default", finished_at=rows.at(7))
        search = rows.group("search", 7, None, status=RUNNING)
        rows.step("index", 7, 8, group_ids=["search"])
        search.note(using="default", done_count=1)

    lines = followed(run, proceed, lambda: end(run))
    assert [line.split()[1].rstrip(":") for line in lines[2:-1]] == ["data", "import", "data", "search", "index"]


def test_a_run_whose_process_dies_is_not_followed_for_ever(started: tuple[Run, Lock]) -> None:
    run, lock = started
    assert followed(run, lock.release, *[lambda: None] * 5)[-1] == "interrupted"


# Without the savepoints of a transaction around the test.
@pytest.mark.django_db(transaction=True)
def test_a_poll_takes_two_statements_and_no_long_column(started: tuple[Run, Lock]) -> None:
    run, _ = started
    journal_data.Writer(run).step("backfill", 1, None, status=RUNNING)
    counts: list[int] = []
    with CaptureQueriesContext(connection) as queries:
        followed(run, *[lambda: counts.append(len(queries))] * 3, lambda: end(run))
    assert [after - before for before, after in pairwise(counts)] == [2, 2]
    assert not any('"traceback"' in query["sql"] for query in queries)


def test_a_long_run_is_read_in_parts(started: tuple[Run, Lock], monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = started
    monkeypatch.setattr("django_runbook.journal.reading.following._ROWS_PER_READ", 2)
    writer = journal_data.Writer(run)
    for number in range(5):
        writer.step(f"step-{number}")
    lines = followed(run, lambda: end(run))
    assert [line.split()[1] for line in lines[1:-1]] == ["migrate:", *(f"step-{number}:" for number in range(5))]


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("is_back", [True, False])
def test_a_database_that_is_away_is_waited_for(
    started: tuple[Run, Lock],
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_back: bool,
    is_first: bool,
) -> None:
    run, _ = started
    monkeypatch.setattr("django_runbook.journal.connection._RETRY_SECONDS", 0)
    monkeypatch.setattr("django_runbook.journal.connection._REPORT_SECONDS", 0)
    reasons: list[str] = []
    follower = Follower(
        run, new_lock=factory.new_factory(conf.read(), what="the reader"), using="default", on_wait=reasons.append
    )
    monkeypatch.setattr(follower._connection, "_patience_seconds", 1000.0 if is_back else 0.0)
    monkeypatch.setattr(follower._connection, "_is_transient", lambda error: True)
    refusals = iter([OperationalError("away"), OperationalError("away")])

    def refuse(execute: Callable[..., object], *call: object) -> object:
        if (error := next(refusals, None)) is not None:
            raise error
        return execute(*call)

    with contextlib.ExitStack() as stack:

        def wait(seconds: float) -> None:
            end(run)
            if not is_first:
                stack.enter_context(connection.execute_wrapper(refuse))

        lines = follower.lines(wait)
        if is_first:
            stack.enter_context(connection.execute_wrapper(refuse))
        if is_back:
            assert list(lines)[-1] == "succeeded, exit code 0"
            assert reasons == ["away"]
        else:
            with pytest.raises(OperationalError, match="away"):
                list(lines)


def test_the_exit_code_is_that_of_the_run(started: tuple[Run, Lock], monkeypatch: pytest.MonkeyPatch) -> None:
    run, _ = started
    monkeypatch.setattr("time.sleep", lambda seconds: end(run, "failed", 124))
    with pytest.raises(CommandError, match="the run ended as failed") as caught:
        call_command("show_runs", "--follow")
    assert caught.value.returncode == 124


def test_without_a_running_run_there_is_nothing_to_follow() -> None:
    journal_data.new_run()
    with pytest.raises(CommandError, match="no run is running") as caught:
        call_command("show_runs", "--follow")
    assert caught.value.returncode == 2


def test_a_finished_run_is_shown_with_its_exit_code() -> None:
    run = journal_data.failed_run()
    assert StepRun.objects.filter(run=run).count() > 5
    assert followed(run)[-1] == "failed, exit code 1"


def test_ctrl_c_ends_the_follower_and_not_the_run(started: tuple[Run, Lock], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(seconds: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", interrupt)
    with pytest.raises(CommandError, match="continues") as caught:
        call_command("show_runs", "--follow", started[0].pk)
    assert caught.value.returncode == 130
