"""Measures steps on workers: a no-op against the engine's own round trip, shards on two workers, many calls in flight.

``python -m benchmarks.queue`` measures all three, ``python -m benchmarks.queue round-trip redis`` one of them, on one
engine: round-trip, shards, flight; redis, rabbitmq, tasks. It needs the services of the tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import psycopg.conninfo

from tests import postgres_settings
from tests.patience import wait_until
from tests.queues.project import BROKERS, Project, new_project, new_template
from tests.runner.support import environ

# Celery's results without another service, and the fastest that it has for each broker.
RESULTS = {"redis": BROKERS["redis"], "rabbitmq": "rpc://", "tasks": ""}
ITEM_COUNT = 1000
FLIGHT_COUNT = 2000
FLIGHT_SECONDS = 20


def main(names: list[str]) -> None:
    """Print each measure with its goal."""
    # The helpers of the tests, from which the projects come, read their settings.
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    engines = [name for name in names if name in RESULTS] or list(RESULTS)
    parts = [name for name in names if name not in RESULTS] or ["round-trip", "shards", "flight"]
    print(f"load of the machine: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    with tempfile.TemporaryDirectory() as directory, new_template(Path(directory)) as template:
        for engine in engines if "round-trip" in parts else ():
            with _project(Path(directory), engine, template=template) as project:
                measure_round_trip(project)
        if "shards" in parts:
            with _project(Path(directory), engines[0], template=template) as project:
                measure_shards(project)
        if "flight" in parts:
            with _project(Path(directory), engines[0], template=template) as project:
                measure_flight(project)


def measure_round_trip(project: Project) -> None:
    """Compare a queued step with the round trip of a task that does nothing, and with a step on this host."""
    with project.worker(is_fresh=True):
        rounds = _measured(project, "round_trip")
    before, after = _writes(project)
    print(f"\n{project.engine}")
    for name in rounds[0]:
        print(f"  {name:<20}{min(each[name] for each in rounds) * 1000:8.1f} ms")
    _print_ratio(
        "queued step to round trip", [one["queued step"] / one["round trip"] for one in rounds], goal="at most 2"
    )
    extra = [(one["queued step"] - one["local step"]) / one["round trip"] for one in rounds]
    _print_ratio("its cost beyond a local step", extra, goal="at most 2")
    print(f"  writes of a call: {after / before:.1f} (goal: at most 3, each in one commit)")


def measure_shards(project: Project) -> None:
    """Compare eight shards on two workers with one process, on work that takes processor time only."""
    project.add_items(ITEM_COUNT)
    with project.worker("a", is_fresh=True), project.worker("b", is_fresh=True):
        rounds = _measured(project, "shards")
    print(f"\n8 shards on 2 workers ({project.engine}), {ITEM_COUNT} items")
    for name in rounds[0]:
        print(f"  {name:<20}{min(each[name] for each in rounds):8.1f} s")
    speedups = [one["one process"] / one["two workers"] for one in rounds]
    _print_ratio("one process to two workers", speedups, goal="at least 1.6")


def measure_flight(project: Project) -> None:
    """Count the transactions of a run whose calls no worker takes: one call, and many."""
    print(f"\ncalls in flight ({project.engine})")
    rates = {}
    for count in (1, FLIGHT_COUNT):
        with _flight(project, count) as runner:
            rates[count] = _transactions_each_second(project)
            began = time.monotonic()
            os.kill(runner.pid, signal.SIGTERM)
            runner.wait()
        print(
            f"  {count:>5} calls: {rates[count]:.2f} transactions a second, stopped in {time.monotonic() - began:.1f} s"
        )
    extra = rates[FLIGHT_COUNT] - rates[1]
    print(f"  beyond one call: {extra:.2f} a second (goal: at most 1 query a second in all for its calls)")


@contextlib.contextmanager
def _project(directory: Path, engine: str, *, template: str) -> Iterator[Project]:
    folder = Path(tempfile.mkdtemp(dir=directory))
    with new_project(folder, engine, template=template) as project:
        settings = {"DJANGO_SETTINGS_MODULE": "benchmarks.queue_settings", "QUEUES_RESULTS": RESULTS[engine]}
        project.secrets, project.is_hasty = settings, False
        yield project


def _measured(project: Project, what: str) -> list[dict[str, float]]:
    """Return the rounds that a process of the project measures."""
    words = [sys.executable, "-W", "ignore", "-m", "benchmarks.queue_rounds", what]
    done = subprocess.run(
        words, env=environ() | project.variables, cwd=project.directory, stdout=subprocess.PIPE, check=True
    )
    rounds: list[dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return rounds


def _writes(project: Project) -> tuple[int, int]:
    """Return how many calls there were, and how often a row of them was written."""
    (count,) = project.query("SELECT count(*) FROM django_runbook_call")[0]
    statement = (
        "SELECT sum(n_tup_ins + n_tup_upd) FROM pg_stat_user_tables "
        "WHERE relname IN ('django_runbook_call', 'django_runbook_calloutput')"
    )
    # The sessions of the server report their counts after a while.
    written = [project.query(statement)[0][0]]
    while len(written) < 2 or written[-1] != written[-2]:
        time.sleep(2)
        written += [project.query(statement)[0][0]]
    return count, int(written[-1])


@contextlib.contextmanager
def _flight(project: Project, count: int) -> Iterator[subprocess.Popen[str]]:
    items = list(range(min(count, 1000)))
    loop = f"{{command: noop, for_each: {items}, max_parallel: 1000, queue: {project.queue}}}"
    loops = ", ".join([loop] * max(1, count // 1000))
    project.write(f"steps: [{{parallel: [{loops}]}}]")
    with project.runner() as runner:
        queued = "SELECT count(*) FROM django_runbook_call WHERE status = 'queued'"
        wait_until(
            lambda: project.query(queued)[0][0] == count or runner.poll() is not None, what="all calls are queued"
        )
        assert runner.poll() is None, project.output("runner")
        yield runner


def _transactions_each_second(project: Project) -> float:
    server = postgres_settings.POSTGRES
    address = {"host": server["HOST"], "port": server["PORT"], "user": server["USER"], "password": server["PASSWORD"]}
    info = psycopg.conninfo.make_conninfo("", **address, dbname=server["NAME"])

    def count(connection: psycopg.Connection[Any]) -> int:
        statement = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = %s"
        row = connection.execute(statement, [project.database]).fetchone()
        assert row is not None
        return int(row[0])

    # From another database, whose transactions are not counted; the first calls are polled faster than later ones.
    with psycopg.connect(info, autocommit=True) as connection:
        time.sleep(10)
        before, began = count(connection), time.monotonic()
        time.sleep(FLIGHT_SECONDS)
        return (count(connection) - before) / (time.monotonic() - began)


def _print_ratio(name: str, ratios: list[float], *, goal: str) -> None:
    found = f"{statistics.median(ratios):.2f} (median of {len(ratios)}, {min(ratios):.2f} to {max(ratios):.2f})"
    print(f"  {name}: {found}, goal: {goal}")


if __name__ == "__main__":
    main(sys.argv[1:])
