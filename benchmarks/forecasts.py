"""What a forecast costs ``--plan`` and the start of a run, with 10,000 runs of 20 steps in the history.

``python -m benchmarks.forecasts`` measures on SQLite in WAL mode, with ``postgresql`` or ``mysql`` there (see
`benchmarks.journal`), in a database that it makes and drops: right after the rows were loaded, without statistics of
the database, and with them. A runbook of 500 steps follows.
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
LARGE_RUN_COUNT, LARGE_STEP_COUNT = 400, 500
ROUNDS = 15


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
        path, large = Path(directory) / "nightly.yml", Path(directory) / "large.yml"
        path.write_text(_file(STEP_COUNT))
        large.write_text(_file(LARGE_STEP_COUNT))
        plan, large_plan = _plan(path), _plan(large)
        with connection.cursor() as cursor:
            if vendor == "postgresql":
                cursor.execute("ALTER TABLE django_runbook_run SET (autovacuum_enabled = false)")
            _write(plan, str(path), run_count=RUN_COUNT)
            print("without statistics of the database")
            missed = [_report(*side) for side in _sides(plan, str(path))]
            cursor.execute("ANALYZE TABLE django_runbook_run" if vendor == "mysql" else "ANALYZE")
            print("with statistics of the database")
            missed += [_report(*side) for side in _sides(plan, str(path))]
        print(f"a runbook of {LARGE_STEP_COUNT} steps, {LARGE_RUN_COUNT} runs")
        _write(large_plan, str(large), run_count=LARGE_RUN_COUNT)
        missed += [_report(*side) for side in _large_sides(large_plan, str(large))]
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
        history = read_history(runbook, subject.kind, step_count=subject.step_count, using="default")
        assert history.forecast(subject.shape, datetime.datetime.now(datetime.UTC).date()) is not None

    return [("--plan", 50, of_plan), ("the start of a run", 20, of_start)]


def _large_sides(plan: Plan, runbook: str) -> list[tuple[str, int, Callable[[], None]]]:
    from django_runbook.forecasts import judgments, samples
    from django_runbook.forecasts.history import read_history
    from django_runbook.forecasts.statistics import read_statistics
    from django_runbook.forecasts.subject import subject_of
    from django_runbook.journal.definitions import Definitions
    from django_runbook.pages.statistics_page import statistics_page

    definitions = Definitions(plan=plan, mask=str)
    subject = subject_of(
        plan, runbook=runbook, unselected=(), definition_of=lambda step_id: definitions.of(step_id).digest
    )
    # On the first and the last day of a month, a step may have no limit.
    today = datetime.datetime.now(datetime.UTC).date().replace(day=15)

    def read() -> judgments.History:
        return read_history(runbook, subject.kind, step_count=subject.step_count, using="default")

    def of_start() -> None:
        assert read().forecast(subject.shape, today) is not None

    history = read()

    def of_steps() -> None:
        for key in plan.outline:
            past = history.step(key, subject.definition_of(key))
            assert samples.slow_limit(past.seconds, today) is not None

    def of_page() -> None:
        assert len(statistics_page(read_statistics(runbook, using="default"), url_of=str).steps) == LARGE_STEP_COUNT

    return [("the start of a run", 100, of_start), ("its steps", 500, of_steps), ("the durations", 1000, of_page)]


def _file(step_count: int) -> str:
    return "steps:\n" + "".join(f"  - {{id: step_{number}, command: noop}}\n" for number in range(step_count))


def _report(name: str, goal: int, call: Callable[[], None]) -> bool:
    call()
    rounds, own = [], time.process_time()
    for _ in range(ROUNDS):
        started = time.perf_counter()
        call()
        rounds.append((time.perf_counter() - started) * 1000)
    own = (time.process_time() - own) * 1000 / ROUNDS
    median, least = statistics.median(rounds), min(rounds)
    print(f"  {name:<20} {median:6.1f} ms, at least {least:.1f} ms, {own:.1f} ms of this processor (goal: {goal} ms)")
    # Other work on the machine makes any round longer.
    return least >= goal


def _plan(path: Path) -> Plan:
    from django_runbook import checking, conf

    configuration = conf.read()
    loaded = checking.load(path, name=str(path), configuration=configuration)
    assert loaded.runbook is not None
    return checking.plan_without_secrets(
        loaded.runbook, binder=checking.new_binder(is_recorded=True), configuration=configuration
    )


def _write(plan: Plan, runbook: str, *, run_count: int) -> None:
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
    for number in range(run_count):
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
            started_at=now - datetime.timedelta(hours=run_count - number),
            duration_seconds=1200.0,
            status="succeeded",
            pid=1,
            host="here",
            owner="me",
            step_count=len(plan.outline),
            figures=subject.figures(1200.0 + number % 60, figures).to_text(),
            figures_kind=subject.kind,
        )
        runs.append(run)
        steps += [_step(run, key) for key in plan.outline]
        if len(runs) == 100:
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
