"""Batches along a key, as a ratio to what is written by hand: time and memory, on SQLite and on PostgreSQL, in one run.

    .venv/bin/python -m benchmarks.batch                  # 1,000,000 rows; an hour
    .venv/bin/python -m benchmarks.batch --rows 100000    # a tenth of it

The same work is done by a `BatchCommand`, with its checkpoint, lock, progress and looks at the stop flag; by (a) a
loop over slices, which is wrong where the work shrinks the filter, and slower with each slice, so that it is measured
on fewer rows and extrapolated; by (b) the loop along the key that a careful engineer writes by hand, with one
transaction for each batch; and by (c) one SQL statement, where there is one.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import importlib
import io
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from benchmarks import processes

ITEM_BATCH = 1000
SET_BATCH = 5000
ENGINES = ("sqlite", "postgresql")
# Work, its goal, and the sides that do it.
WORKS = {"per-item saves": 1.05, "sets of 5,000": 1.10}


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3, help="Turns of the two sides; default: 3.")
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=ENGINES)
    parser.add_argument("--works", nargs="+", choices=[*WORKS], default=[*WORKS])
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        work, side, rows = given.measure
        print(json.dumps(_measure(work, side, int(rows))))
        return
    for engine in given.engines:
        with new_database(engine) as database:
            environ = processes.environ_of(Path.cwd(), **database)
            for work in given.works:
                _compare(environ, engine=engine, work=work, rows=given.rows, rounds=given.rounds)


def _compare(environ: dict[str, str], *, engine: str, work: str, rows: int, rounds: int) -> None:
    def run(side: str, count: int = rows) -> dict[str, float]:
        command = [sys.executable, "-m", "benchmarks.batch", "--measure", work, side, str(count)]
        done = subprocess.run(command, env=environ, check=True, capture_output=True, text=True)
        values: dict[str, float] = json.loads(done.stdout)
        return values

    turns = []
    for number in range(rounds):
        # Each side goes first in every second turn.
        sides = ("by hand", "ours") if number % 2 else ("ours", "by hand")
        turns.append({side: run(side) for side in sides})
    by_hand, ours = ([turn[side]["seconds"] for turn in turns] for side in ("by hand", "ours"))
    print(f"{engine}, {work}, {rows:,} rows")
    print(f"  (b) by hand          {min(by_hand):8.2f} s")
    print(f"  BatchCommand         {min(ours):8.2f} s")
    print(f"  ratio of minima      {min(ours) / min(by_hand):8.3f}   (goal: at most {WORKS[work]:.2f})")
    print(f"  median of ratios     {statistics.median(b / a for a, b in zip(by_hand, ours, strict=True)):8.3f}")
    cpu = [min(turn[side]["cpu"] for turn in turns) for side in ("by hand", "ours")]
    print(f"  ratio of CPU time    {cpu[1] / cpu[0]:8.3f}   (of this process: what a busy machine disturbs least)")
    small, large = run("ours", 10_000)["peak"], max(turn["ours"]["peak"] for turn in turns)
    print(f"  peak memory          {large:8.1f} MB, and {small:.1f} MB with 10,000 rows")
    sizes = (rows // 20, rows // 10)
    half, whole = (run("slices", size)["seconds"] for size in sizes)
    slices = _extrapolated(half, whole, sizes, rows)
    print(f"  (a) slices           {slices:8.2f} s, extrapolated from {sizes[0]:,} and {sizes[1]:,} rows")
    if work != "per-item saves":
        print(f"  (c) one statement    {run('one statement')['seconds']:8.2f} s")
    sys.stdout.flush()


def _extrapolated(half: float, whole: float, sizes: tuple[int, int], rows: int) -> float:
    """A slice costs its rows and the ones before it: a part that grows with the rows, and one with their square."""
    small, large = sizes
    square = max(0.0, (whole / large - half / small) / (large - small))
    return (whole / large - square * large) * rows + square * rows**2


@contextlib.contextmanager
def new_database(engine: str) -> Iterator[dict[str, str]]:
    """Make a database for the benchmark; yield the variables that name it and its settings."""
    named = {"DJANGO_SETTINGS_MODULE": "benchmarks.batch_settings", "BENCHMARK_ENGINE": engine}
    if engine == "sqlite":
        with tempfile.TemporaryDirectory() as directory:
            yield {**named, "BENCHMARK_DATABASE": str(Path(directory) / "batch.sqlite3")}
        return
    import psycopg

    name = f"runbook_benchmark_{uuid.uuid4().hex[:8]}"
    host, user = os.environ.get("PGHOST", "127.0.0.1"), os.environ.get("PGUSER", "postgres")
    with psycopg.connect(host=host, user=user, dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            yield {**named, "BENCHMARK_DATABASE": name}
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _measure(work: str, side: str, rows: int) -> dict[str, float]:
    import django

    django.setup()
    _fill(rows)
    is_set = work != "per-item saves"
    sides: dict[str, Callable[[], object]] = {
        "by hand": _sets_by_hand if is_set else _items_by_hand,
        "ours": lambda: _ours(is_set=is_set),
        "slices": _sets_by_slices if is_set else _items_by_slices,
        "one statement": _one_statement,
    }
    # What a process imports at its start is no part of the loop.
    importlib.import_module("django_runbook.batch.batch_command")
    importlib.import_module("django_runbook.locks.file")
    importlib.import_module("tests.batchapp.models")
    # Else the side that makes the next object would sweep up after django.setup().
    gc.collect()
    started, cpu_started = time.perf_counter(), time.process_time()
    sides[side]()
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    _check(rows)
    # Kilobytes on Linux, bytes on macOS.
    unit = 1024 if sys.platform == "linux" else 1024 * 1024
    return {"seconds": seconds, "cpu": cpu_seconds, "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit}


def make_tables() -> None:
    """Make the tables of all apps."""
    from django.core.management import call_command

    # Those without migrations are made first, and PostgreSQL accepts no key to a table that is not there.
    call_command("migrate", "contenttypes", verbosity=0)
    call_command("migrate", run_syncdb=True, verbosity=0)


def _fill(rows: int) -> None:
    from django.db import connection

    make_tables()
    numbers = (
        f"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) SELECT i FROM n"
        if connection.vendor == "sqlite"
        else f"SELECT i FROM generate_series(1, {rows}) AS n(i)"
    )
    with connection.cursor() as cursor:
        cursor.execute(
            "DELETE FROM batchapp_item" if connection.vendor == "sqlite" else "TRUNCATE batchapp_item CASCADE"
        )
        cursor.execute(
            "INSERT INTO batchapp_item (id, count, is_done, value) "
            f"SELECT i, 0, {'0' if connection.vendor == 'sqlite' else 'false'}, '1' FROM ({numbers}) AS numbers"
        )
        cursor.execute("VACUUM" if connection.vendor == "sqlite" else "VACUUM ANALYZE batchapp_item")
        if connection.vendor == "postgresql":
            # What was written before is not written out during the measurement.
            cursor.execute("CHECKPOINT")


def _check(rows: int) -> None:
    from tests.batchapp.models import Item

    assert Item.objects.filter(count=1).count() == rows


def _ours(*, is_set: bool) -> None:
    from django.core.management import call_command
    from django.db.models import F, QuerySet

    from django_runbook.batch import BatchCommand
    from tests.batchapp.models import Item

    class Items(BatchCommand):
        batch_size = ITEM_BATCH

        def get_queryset(self) -> QuerySet[Item]:
            return Item.objects.all()

        def process_item(self, item: Item) -> None:
            item.count += 1
            item.save(update_fields=["count"])

    class Sets(Items):
        batch_size = SET_BATCH

        def process_batch(self, rows: QuerySet[Item]) -> int:
            return rows.update(count=F("count") + 1)

    call_command(Sets() if is_set else Items(), stdout=io.StringIO(), stderr=io.StringIO())


def _items_by_hand() -> None:
    from django.db import transaction

    from tests.batchapp.models import Item

    last = 0
    while True:
        with transaction.atomic():
            items = list(Item.objects.filter(pk__gt=last).order_by("pk")[:ITEM_BATCH])
            for item in items:
                item.count += 1
                item.save(update_fields=["count"])
        if not items:
            return
        last = items[-1].pk


def _sets_by_hand() -> None:
    from django.db import transaction
    from django.db.models import F, Max

    from tests.batchapp.models import Item

    last = 0
    while True:
        left = Item.objects.filter(pk__gt=last).order_by("pk")
        keys = list(left.values_list("pk", flat=True)[SET_BATCH - 1 : SET_BATCH])
        high = keys[0] if keys else left.aggregate(last=Max("pk"))["last"]
        if high is None:
            return
        with transaction.atomic():
            Item.objects.filter(pk__gt=last, pk__lte=high).update(count=F("count") + 1)
        last = high


def _items_by_slices() -> None:
    from django.db import transaction

    from tests.batchapp.models import Item

    start = 0
    while items := list(Item.objects.order_by("pk")[start : start + ITEM_BATCH]):
        with transaction.atomic():
            for item in items:
                item.count += 1
                item.save(update_fields=["count"])
        start += ITEM_BATCH


def _sets_by_slices() -> None:
    from django.db import transaction
    from django.db.models import F

    from tests.batchapp.models import Item

    start = 0
    while keys := list(Item.objects.order_by("pk").values_list("pk", flat=True)[start : start + SET_BATCH]):
        with transaction.atomic():
            Item.objects.filter(pk__in=keys).update(count=F("count") + 1)
        start += SET_BATCH


def _one_statement() -> None:
    from django.db.models import F

    from tests.batchapp.models import Item

    Item.objects.update(count=F("count") + 1)


if __name__ == "__main__":
    main()
