"""Provides stored runs: with groups, loops, parallel branches, attempts, and resumed runs."""

from __future__ import annotations

import datetime
import itertools
import uuid
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from django_runbook.models import RUNNING, Run, StepRun
from django_runbook.models.checkpoints import Checkpoint, FailedRow, FinishedKey

# The default lock backend of these runs.
LOCKS = "the locks of the tests"
BEGIN = datetime.datetime(2026, 3, 2, 4, 30, tzinfo=datetime.UTC)


def new_run(**columns: Any) -> Run:
    """Store a run, which succeeded unless the columns say otherwise."""
    run_id = columns.pop("id", None) or uuid.uuid4().hex
    begin = columns.pop("started_at", BEGIN)
    values: dict[str, Any] = {
        "runbook": "nightly.yml",
        "name": "Nightly maintenance",
        "file": "runbooks/nightly.yml",
        "file_hash": "c0ffee" * 10,
        "git_commit": "5a51267d" * 5,
        "params": {"day": "2013-01-31", "mode": "full", "token": "***"},
        "options": {"only": [], "skip": [], "start_at": None, "tags": ["data"], "skip_tags": [], "withheld_params": []},
        "now": begin.isoformat(),
        "status": "succeeded",
        "exit_code": 0,
        "step_count": 4,
        "started_at": begin,
        "finished_at": begin + datetime.timedelta(seconds=95),
        "host": "ops-1",
        "pid": 4711,
        "user": "deploy",
        "owner": uuid.uuid4().hex,
        "lock_backend": LOCKS,
    }
    if columns.get("status") == RUNNING:
        values |= {"exit_code": None, "finished_at": None}
    return Run.objects.create(**{"id": run_id, **values, **columns})


@dataclass
class Writer:
    """Writes the steps of a run; times are in seconds after its start."""

    run: Run
    attempts: dict[str, int] = field(default_factory=dict)
    lines: Any = field(default_factory=lambda: itertools.count(8, 3))
    known_lines: dict[str, int] = field(default_factory=dict)

    def step(self, step_id: str, begin: float | None = 0.0, end: float | None = 1.0, **columns: Any) -> StepRun:
        """Store one attempt of a step."""
        self.attempts[step_id] = attempt = self.attempts.get(step_id, 0) + 1
        key = step_id.partition("[")[0]
        line = self.known_lines.setdefault(key, next(self.lines))
        status = columns.get("status", "succeeded")
        values: dict[str, Any] = {
            "name": step_id,
            "role": "step",
            "kind": "command",
            "argv": [key],
            "status": status,
            "exit_code": {"succeeded": 0, "failed": 1, "timed_out": 124}.get(status),
            "file": "runbooks/nightly.yml",
            "line": line,
            "run_attempt": 1,
        }
        return StepRun.objects.create(
            run=self.run,
            step_id=step_id,
            attempt=attempt,
            started_at=self.at(begin),
            finished_at=self.at(end),
            **{**values, **columns},
        )

    def group(self, step_id: str, begin: float | None, end: float | None, **columns: Any) -> StepRun:
        """Store one attempt of a group or a loop."""
        return self.step(step_id, begin, end, **{"kind": "group", "argv": None, **columns})

    def at(self, seconds: float | None) -> datetime.datetime | None:
        return None if seconds is None else self.run.started_at + datetime.timedelta(seconds=seconds)


def failed_run(**columns: Any) -> Run:
    """Store a run with groups, a loop with retries, parallel branches, a failure and handlers."""
    values = {
        "status": "failed",
        "exit_code": 1,
        "step_count": 12,
        "finished_at": BEGIN + datetime.timedelta(seconds=122),
    }
    run = new_run(**{**values, **columns})
    rows = Writer(run)
    rows.step("migrate", 0.2, 3.1, argv=["migrate", "--no-input"], output_head="No migrations to apply.")
    rows.group("data", 3.1, 52.0, name="Load data")
    rows.step("reference_data", 3.2, 6.4, group_ids=["data"], argv=["reference_data", "import", "data"])
    rows.group("import", 6.5, 40.0, group_ids=["data"], kind="loop", name="Import each airport", warnings=["late"])
    for number, (name, begin, end) in enumerate((("EWR", 6.6, 21.0), ("JFK", 6.6, 17.5), ("LGA", 17.6, 39.8)), start=1):
        row = {"group_ids": ["data", "import"], "name": f"Import {name}", "argv": ["import_flights", "--origin", name]}
        if name == "LGA":
            rows.step(
                f"import[{number}]",
                begin,
                begin + 6,
                status="failed",
                error_type="OperationalError",
                message="server closed the connection unexpectedly\n\tThis probably means that it was restarted.",
                traceback="Traceback (most recent call last):\n  File …\nOperationalError: server closed the connection",
                **row,
            )
        again = begin + 8 if name == "LGA" else begin
        rows.step(f"import[{number}]", again, end, done_count=120_000, total_count=120_000, **row)
    rows.step(
        "backfill_delay_class",
        40.1,
        51.9,
        group_ids=["data"],
        done_count=336_776,
        total_count=336_776,
        failed_count=3,
        argv=["backfill_delay_class", "--batch-size", "5000", "--max-errors", "10"],
    )
    Checkpoint.objects.create(
        scope=f"backfill of {run.pk}",
        command="backfill_delay_class",
        description="flights.Flight",
        call_key=f"{run.id}:backfill_delay_class",
        owner="x",
        holder="ops-1",
        done_count=336_773,
        failed_count=3,
        finished_at=timezone.now(),
    )
    FinishedKey.objects.create(
        scope=f"backfill of {run.pk}", command="backfill_delay_class", run_key="2013-01-31", key_digest=run.pk
    )
    for number in range(3):
        FailedRow.objects.create(
            scope=f"backfill of {run.pk}",
            command="backfill_delay_class",
            key_digest=str(number),
            key=str(number),
            name=f"flight {number}",
            error="ValueError: no departure",
            traceback="Traceback …",
        )
    rows.step(
        "count_delays",
        52.1,
        53.0,
        argv=["count_delays", "--format", "json"],
        output=[{"cancelled": 7, "very_late": 31}],
    )
    rows.step(
        "process_compensations",
        None,
        53.0,
        status="skipped",
        reason="when: steps.delays.output.cancelled > 10",
        exit_code=None,
    )
    rows.group("search", 53.1, 109.0, name="Search", status="failed", message="rebuild_index failed")
    rows.step("update_search_index", 53.2, 88.0, group_ids=["search"], status="succeeded")
    rows.step(
        "rebuild_index",
        53.2,
        108.9,
        group_ids=["search"],
        argv=["rebuild_index", "flights.Flight", "flights.Airport"],
        status="failed",
        exit_code=1,
        error_type="TransportError",
        message="429 Too Many Requests: the cluster is at its limit",
        traceback='Traceback (most recent call last):\n  File "commands/rebuild_index.py", line 41, in handle\nTransportError: 429',
        output_head="\n".join(f"indexed {n * 1000} rows" for n in range(1, 20)),
        output_tail="giving up",
        omitted_count=1234,
    )
    rows.step(
        "generate_sitemaps",
        53.2,
        70.0,
        group_ids=["search"],
        status="failed",
        ignored=True,
        error_type="CommandError",
        message="example.com does not answer",
    )
    rows.step("send_reports", None, 109.0, status="not_run", reason="a step before it failed", exit_code=None)
    rows.step("table_sizes", None, 109.0, status="not_run", reason="a step before it failed", exit_code=None)
    rows.step("notify_operations", 109.2, 113.0, role="on_failure", argv=["notify_operations", "Nightly failed"])
    rows.step("cleanup_sessions", 113.1, 121.9, role="finally")
    return run


def running_run(**columns: Any) -> Run:
    """Store a run in the middle of a batch command."""
    begin = columns.pop("started_at", None) or timezone.now() - datetime.timedelta(seconds=20)
    run = new_run(**{"status": RUNNING, "started_at": begin, "step_count": 4, **columns})
    rows = Writer(run)
    rows.step("migrate", 0.1, 4.0)
    rows.group("data", 4.0, None, name="Load data", status=RUNNING)
    rows.step(
        "backfill",
        # Late enough that a page does not receive the previous steps again.
        16.0,
        None,
        name="Backfill delay classes",
        group_ids=["data"],
        status=RUNNING,
        done_count=5_000,
        total_count=20_000,
    )
    return run


def resumed_run(**columns: Any) -> Run:
    """Store a run that failed, and succeeded when it was resumed two days later."""
    later = 2 * 86400.0
    values = {
        "attempt_count": 2,
        "step_count": 3,
        "resumed_at": BEGIN + datetime.timedelta(seconds=later),
        "finished_at": BEGIN + datetime.timedelta(seconds=later + 30),
    }
    run = new_run(**{**values, **columns})
    rows = Writer(run)
    rows.step("migrate", 0.0, 10.0)
    rows.step("import", 10.0, 30.0, status="failed", error_type="CommandError", message="the feed is empty")
    rows.step("report", None, 30.0, status="not_run", reason="a step before it failed", exit_code=None)
    rows.step("import", later + 0.1, later + 25.0, run_attempt=2)
    rows.step("report", later + 25.0, later + 30.0, run_attempt=2)
    return run


def wide_run(step_count: int, **columns: Any) -> Run:
    """Store a run of many steps, each with a long output."""
    run = new_run(
        **{"step_count": step_count, "finished_at": BEGIN + datetime.timedelta(seconds=step_count), **columns}
    )
    rows = Writer(run)
    text = "a line of output\n" * 50
    StepRun.objects.bulk_create(
        StepRun(
            run=run,
            step_id=f"step_{number}",
            name=f"Step {number}",
            role="step",
            kind="command",
            argv=["noop"],
            status="succeeded",
            exit_code=0,
            output_head=text,
            output_tail=text,
            definition=text,
            file="runbooks/nightly.yml",
            line=number + 3,
            started_at=rows.at(number),
            finished_at=rows.at(number + 0.9),
        )
        for number in range(step_count)
    )
    return run


def last_attempts(
    row: Run, doubts: Collection[str], *, lost: Collection[str] = ()
) -> tuple[dict[str, StepRun], set[str]]:
    """Return the last attempt of each step of a run that succeeded at last, and the steps that it skipped.

    A resume skips only steps whose outcome is in doubt. The workers of the handlers in ``lost`` died at last, which is
    a warning.
    """
    assert (row.status, row.exit_code) == ("warning" if lost else "succeeded", 0), row
    steps = list(StepRun.objects.filter(run=row).order_by("pk"))
    assert not [step for step in steps if step.status == RUNNING], steps
    last = {step.step_id: step for step in steps if step.step_id not in lost}
    wrong = {step.step_id: step.status for step in last.values() if step.status not in {"succeeded", "skipped"}}
    assert not wrong, wrong
    skipped = {step.step_id for step in last.values() if step.status == "skipped"}
    assert skipped <= set(doubts), (skipped, doubts)
    return last, skipped
