"""The admin's pages at 10,000 runs, as a ratio to the same pages at 100, and the page of a run of 1,000 steps."""

from __future__ import annotations

import datetime
import os
import statistics
import time
import tracemalloc
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.test import Client

FEW, MANY = 100, 10_000
STEPS_OF_A_RUN = 10
STEP_COUNT = 1000
CAPTURED_BYTES = 16_000_000
ROUNDS = 9
LIST = "/admin/django_runbook/run/"
PAGES = {
    "list": "",
    "second page": "?p=2",
    "failed ones": "?status=failed",
    "of a runbook": "?runbook=deploy.yml",
    "search": "?q=nightly",
}


def main() -> None:
    """Print times, ratios and queries; the database is SQLite, in memory, so that the time of the processor is all."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
    import django

    django.setup()
    from django.conf import settings
    from django.contrib.auth.models import User
    from django.core.management import call_command
    from django.test import Client
    from django.test.utils import setup_test_environment

    setup_test_environment()
    settings.ALLOWED_HOSTS = ["testserver"]
    call_command("migrate", verbosity=0)
    client = Client()
    client.force_login(User.objects.create_superuser("ada"))

    _write(FEW)
    few = {name: _measure(client, LIST + query)[0] for name, query in PAGES.items()}
    _write(MANY - FEW)
    print(f"{MANY:,} runs of {STEPS_OF_A_RUN} steps          median  queries  to {FEW} runs")
    for name, query in PAGES.items():
        seconds, query_count, _ = _measure(client, LIST + query)
        print(f"  {name:<28} {seconds * 1000:6.0f} ms  {query_count:5}  {seconds / few[name]:9.2f}")

    from tests import journal_data

    run = journal_data.wide_run(STEP_COUNT)
    print(f"a run of {STEP_COUNT:,} steps           median  queries       size")
    for name, url in (("page", f"{LIST}{run.pk}/change/"), ("all of its rows, as JSON", f"{LIST}{run.pk}/live/")):
        seconds, query_count, size = _measure(client, url)
        print(f"  {name:<28} {seconds * 1000:6.0f} ms  {query_count:5}  {size / 1000:6.0f} kB")
    _print_captured(client)


def _print_captured(client: Client) -> None:
    """Print the cost of the page of a step that captured much."""
    from django.db import connection

    from django_runbook.models import StepRun

    step = StepRun.objects.earliest("pk")
    step.output = [[{"number": number, "text": "x" * 80} for number in range(CAPTURED_BYTES // 110)]]
    step.save()
    length = "select length(output) from django_runbook_steprun where id = %s"
    with connection.cursor() as cursor:
        cursor.execute(length, [step.pk])
        stored = cursor.fetchone()[0]
    del step.output
    url = f"/admin/django_runbook/steprun/{step.pk}/change/"
    seconds, query_count, size = _measure(client, url)
    tracemalloc.start()
    client.get(url)
    peak = tracemalloc.get_traced_memory()[1] / 1_000_000
    tracemalloc.stop()
    print(f"a step with {stored / 1_000_000:.1f} MB of JSON           median  queries       size")
    print(f"  {'page':<28} {seconds * 1000:6.0f} ms  {query_count:5}  {size / 1000:6.0f} kB (goal: at most 200 ms)")
    print(f"  {'memory of Python, peak':<28} {peak:6.0f} MB (goal: at most 50 MB)")


def _measure(client: Client, url: str) -> tuple[float, int, int]:
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    def get() -> int:
        response = client.get(url)
        assert response.status_code == 200, url
        return len(response.content)

    with CaptureQueriesContext(connection) as queries:
        size = get()
        query_count = len(queries)
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        get()
        times.append(time.process_time() - started)
    return statistics.median(times), query_count, size


def _write(count: int) -> None:
    """Store so many runs, the statuses and runbooks mixed, each with its steps."""
    from django_runbook.models import Run, StepRun

    statuses = ("succeeded",) * 8 + ("failed", "warning")
    runbooks = ("nightly.yml", "deploy.yml", "weekly.yml", "hourly.yml")
    begin = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
    runs = [
        Run(
            id=uuid.uuid4().hex,
            runbook=runbooks[number % len(runbooks)],
            name=runbooks[number % len(runbooks)].title(),
            file="runbooks/x.yml",
            status=statuses[number % len(statuses)],
            exit_code=0,
            now=begin.isoformat(),
            started_at=begin + datetime.timedelta(minutes=number),
            finished_at=begin + datetime.timedelta(minutes=number, seconds=40),
            host="ops-1",
            pid=1,
        )
        for number in range(count)
    ]
    Run.objects.bulk_create(runs, batch_size=500)
    steps = (
        StepRun(
            run=run,
            step_id=f"step_{number}",
            name=f"Step {number}",
            role="step",
            kind="command",
            status="succeeded",
            output_head="a line of output\n" * 20,
            started_at=run.started_at,
            finished_at=run.finished_at,
        )
        for run in runs
        for number in range(STEPS_OF_A_RUN)
    )
    StepRun.objects.bulk_create(steps, batch_size=500)


if __name__ == "__main__":
    main()
