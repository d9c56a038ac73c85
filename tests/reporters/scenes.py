"""Provides runs as the events that reporters receive."""

from __future__ import annotations

import datetime
from collections.abc import Iterable

from django_runbook import events
from django_runbook.events import Event
from django_runbook.reporters import Reporter
from django_runbook.results import Failure, RunResult, RunStatus, StepResult, StepStatus
from django_runbook.structs import replace

AT = datetime.datetime(2013, 1, 31, 6, tzinfo=datetime.UTC)
WRONG = Failure(
    error_type="CommandError", message="it went wrong\nand more", exit_code=3, traceback="Traceback\n  File x"
)
BUG = Failure(
    error_type="ValueError", message="oops", exit_code=1, traceback='T\n  File "a.py", line 3, in handle\n    x'
)

# The failure of a group whose step failed.
INSIDE = replace(BUG, message='step "import[3]": oops', cause='"Import[3]" (import[3])')


def result(step_id: str, status: StepStatus = StepStatus.SUCCEEDED, **more: object) -> StepResult:
    values: dict[str, object] = {
        "name": step_id.title(),
        "duration_seconds": 1.25,
        "attempt_count": 0 if status in {StepStatus.SKIPPED, StepStatus.NOT_RUN} else 1,
        **more,
    }
    return StepResult(step_id=step_id, status=status, **values)  # type: ignore[arg-type]  # values are of any type


ADVICE = "run 1f0d898b failed; resume with: python manage.py run_runbook daily.yml --resume 1f0d898b"
STEPS = (
    result("one"),
    result("flaky", StepStatus.FAILED, ignored=True, failure=BUG),
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
    events.StepFinished(at=AT, result=result("group", is_group=True)),
    events.StepStarted(at=AT, step_id="two", name="Two", argv=("fail", "--code=3")),
    events.AttemptFailed(at=AT, step_id="two", attempt=1, attempt_count=2, delay_seconds=21, failure=WRONG),
    events.StepOutputWritten(at=AT, step_id="two", stream="stderr", line="[bold]not markup[/bold] ü"),
    events.StepFinished(at=AT, result=STEPS[2]),
    events.StepFinished(at=AT, result=STEPS[3]),
    events.StepFinished(at=AT, result=STEPS[4]),
    events.StopRequested(at=AT, signal_name="SIGTERM", is_immediate=False),
    events.RunFinished(
        at=AT,
        result=RunResult(
            status=RunStatus.FAILED,
            exit_code=1,
            steps=(*STEPS, result("group", is_group=True)),
            duration_seconds=83,
            run_id="1f0d898b",
            resume_command="python manage.py run_runbook daily.yml --resume 1f0d898b",
            advice=ADVICE,
        ),
    ),
]


def started(step_id: str, *, seconds: float = 0, **more: object) -> events.StepStarted:
    values = {"argv": (step_id,), "clock_seconds": seconds, **more}
    return events.StepStarted(at=after(seconds), step_id=step_id, name=step_id.title(), **values)  # type: ignore[arg-type]  # as above


def wrote(step_id: str, line: str, stream: str = "stdout") -> events.StepOutputWritten:
    return events.StepOutputWritten(at=AT, step_id=step_id, stream=stream, line=line)


def finished(step_id: str, status: StepStatus = StepStatus.SUCCEEDED, **more: object) -> events.StepFinished:
    group_ids = more.pop("group_ids", ())
    return events.StepFinished(at=AT, result=result(step_id, status, **more), group_ids=group_ids)  # type: ignore[arg-type]  # as above


def progressed(step_id: str, done: int, total: int | None, *, seconds: float, failed: int = 0) -> events.StepProgress:
    """An event whose time goes back, unlike its monotonic clock."""
    return events.StepProgress(
        at=after(-seconds),
        clock_seconds=seconds,
        step_id=step_id,
        done_count=done,
        total_count=total,
        failed_count=failed,
    )


def ended(listed: Iterable[Event], status: RunStatus, exit_code: int = 0, *, reason: str = "") -> events.RunFinished:
    """The end of a run, with the results in these events."""
    steps = {event.result.step_id: event.result for event in listed if isinstance(event, events.StepFinished)}
    result = RunResult(
        status=status, exit_code=exit_code, steps=tuple(steps.values()), duration_seconds=2, reason=reason
    )
    return events.RunFinished(at=AT, result=result)


def after(seconds: float) -> datetime.datetime:
    return AT + datetime.timedelta(seconds=seconds)


def send(reporter: Reporter, listed: Iterable[Event]) -> None:
    for event in listed:
        reporter(event)


# A loop with concurrent items and mixed output, whose third item fails.
LOOP = ("import",)
CONCURRENT: list[Event] = [
    events.RunStarted(at=AT, run_id="7f", name="Nightly", file="nightly.yml", step_count=3),
    started("import", argv=None, item_count=3, file="nightly.yml", line=4),
    *(
        started(
            f"import[{n}]", group_ids=LOOP, argv=("import", f"--n={n}"), is_concurrent=True, file="nightly.yml", line=4
        )
        for n in (1, 2, 3)
    ),
    *(wrote(f"import[{n}]", f"{word} of {n}") for word in ("first", "second") for n in (1, 2, 3)),
    finished("import[2]", group_ids=LOOP, file="nightly.yml", line=4),
    wrote("import[1]", "third of 1"),
    finished("import[3]", StepStatus.FAILED, group_ids=LOOP, failure=BUG, file="nightly.yml", line=4),
    finished("import[1]", group_ids=LOOP, file="nightly.yml", line=4),
    finished("import", StepStatus.FAILED, failure=INSIDE, is_group=True, file="nightly.yml", line=4),
]
CONCURRENT.append(ended(CONCURRENT, RunStatus.FAILED, 1))


# A step that runs on a worker, and a loop whose items wait for workers together.
QUEUED: list[Event] = [
    started("one"),
    events.StepQueued(at=AT, step_id="one", queue="heavy"),
    events.StepClaimed(at=AT, step_id="one", host="worker-1", pid=4242),
    finished("one"),
    started("import", argv=None, item_count=3),
    *(started(f"import[{n}]", group_ids=LOOP, argv=("import",), is_concurrent=True) for n in (1, 2, 3)),
    *(events.StepQueued(at=AT, step_id=f"import[{n}]", queue="heavy") for n in (1, 2, 3)),
    *(events.StepClaimed(at=AT, step_id=f"import[{n}]", host="worker-2", pid=n) for n in (2, 1)),
]
