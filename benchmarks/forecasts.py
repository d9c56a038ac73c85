"""What a forecast costs ``--plan`` and the start of a run, with 10,000 runs of 20 steps in the history.

``python -m benchmarks.forecasts`` measures on SQLite in WAL mode, ``python -m benchmarks.forecasts postgresql`` there
(PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE), in a database that it makes and drops.
"""

from __future__ import annotations

import datetime
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django_runbook.planning.plan import Plan

RUN_COUNT, STEP_COUNT = 10_000, 20
ROUNDS = 15
FILE = "steps:\n" + "".join(f"  - {{id: step_{number}, command: noop}}\n" for number in range(STEP_COUNT))


def main(vendor: str) -> None:
    """Print medians; a goal that is missed ends with 1."""
    from django.conf import settings

    from benchmarks import settings as base
    from benchmarks.journal import database_of

    with tempfile.TemporaryDirectory() as directory, database_of(vendor, Path(directory)) as database:
        values = {name: getattr(base, name) for name in dir(base) if name.isupper()}
        settings.configure(**{**values, "DATABASES": {"default": database}, "RUNBOOK": {}})
        import django

        django.setup()
        from django.core.management import call_command
        from django.db import connection

        call_command("migrate", verbosity=0)
        path = Path(directory) / "nightly.yml"
        path.write_text(FILE)
        plan = _plan(path)
        _write(plan, str(path))
        with connection.cursor() as cursor:
            # As autovacuum does within minutes: without statistics, PostgreSQL sorts all runs of the runbook.
            cursor.execute("ANALYZE")
        missed = [_report(name, goal, call) for name, goal, call in _sides(plan, str(path))]
        connection.close()
    if any(missed):
        sys.exit(1)


def _sides(plan: Plan, runbook: str) -> list[tuple[str, int, Callable[[], None]]]:
    from django_runbook.forecasts.history import read_history
    from django_runbook.forecasts.plan_forecast import forecast_plan
    from django_runbook.forecasts.subject import subject_of
    from django_runbook.journal.definitions import Definitions

    def of_plan() -> None:
        found = forecast_plan(plan, runbook=runbook, unselected=(), mask=str, using="default", warn=sys.exit)
        assert found is not None
        assert all(found.step_text(step_id).startswith("usually ") for step_id in plan.steps)
        assert found.run_text.startswith("usually ")

    def of_start() -> None:
        definitions = Definitions(plan=plan, mask=str)
        subject = subject_of(
            plan, runbook=runbook, unselected=(), definition_of=lambda step_id: definitions.of(step_id).digest
        )
        history = read_history(runbook, subject.kind, using="default")
        assert history.forecast(subject.shape, datetime.datetime.now(datetime.UTC).date()) is not None

    return [("--plan", 50, of_plan), ("the start of a run", 20, of_start)]


def _report(name: str, goal: int, call: Callable[[], None]) -> bool:
    call()
    rounds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        call()
        rounds.append((time.perf_counter() - started) * 1000)
    median = statistics.median(rounds)
    print(f"{name:<20} {median:5.1f} ms, at least {min(rounds):.1f} ms (goal: under {goal} ms)")
    return median >= goal


def _plan(path: Path) -> Plan:
    from django_runbook import checking, conf

    configuration = conf.read()
    loaded = checking.load(path, name=str(path), configuration=configuration)
    assert loaded.runbook is not None
    return checking.plan_without_secrets(
        loaded.runbook, binder=checking.new_binder(is_recorded=True), configuration=configuration
    )


def _write(plan: Plan, runbook: str) -> None:
    """Write the history: nine of ten runs are of this runbook, and one of ten of another one."""
    from django.utils import timezone

    from django_runbook.forecasts.figures import StepFigures
    from django_runbook.forecasts.subject import subject_of
    from django_runbook.journal.definitions import Definitions
    from django_runbook.models import Run, StepRun

    definitions = Definitions(plan=plan, mask=str)
    subject = subject_of(
        plan, runbook=runbook, unselected=(), definition_of=lambda step_id: definitions.of(step_id).digest
    )
    now = timezone.now()
    runs, steps = [], []
    for number in range(RUN_COUNT):
        figures = {
            key: StepFigures(
                definition=subject.definition_of(key),
                status="succeeded",
                seconds=60 + number % 7,
                rows=number,
                output_size=80,
            )
            for key in plan.outline
        }
        run = Run(
            id=uuid.uuid4().hex,
            runbook=runbook if number % 10 else "other.yml",
            started_at=now - datetime.timedelta(hours=RUN_COUNT - number),
            duration_seconds=1200.0,
            status="succeeded",
            pid=1,
            host="here",
            owner="me",
            figures=subject.figures(1200.0 + number % 60, figures).to_json(),
        )
        runs.append(run)
        steps += [_step(run, key) for key in plan.outline]
        if len(runs) == 500:
            Run.objects.bulk_create(runs)
            StepRun.objects.bulk_create(steps, batch_size=2000)
            runs, steps = [], []


def _step(run: Any, step_id: str) -> Any:
    from django_runbook.models import StepRun

    return StepRun(
        run=run,
        step_id=step_id,
        name=step_id,
        role="step",
        kind="command",
        argv=["noop"],
        status="succeeded",
        output_head="a line of output\n" * 20,
        definition="command: noop",
        started_at=run.started_at,
        file="nightly.yml",
    )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "sqlite")
