"""Cutting a table into shards, as a ratio to ``count()``, in turns: all rows, and a filter that no index serves.

``python -m benchmarks.shards`` measures on SQLite, in processor time; ``python -m benchmarks.shards postgresql`` there,
by the clock, since another process does the work. ``--rows 100000`` cuts fewer than a million.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.batch import ENGINES, make_tables, new_database
from benchmarks.table import Row, show

ROUNDS = 5
SHARD_COUNT = 64
GOAL = 5.0


def main() -> None:
    """Print the ratio of each queryset."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("engine", nargs="?", choices=ENGINES, default="sqlite")
    parser.add_argument("--rows", type=int, default=1_000_000)
    given = parser.parse_args()
    with new_database(given.engine) as environ:
        os.environ |= environ
        import django

        django.setup()
        _measure(given.engine, given.rows)


def _measure(engine: str, count: int) -> None:
    from django.db import connection

    from tests.batchapp.models import Item

    make_tables()
    for first in range(0, count, 10_000):
        Item.objects.bulk_create(Item(count=number % 10) for number in range(first, min(first + 10_000, count)))
    clock = time.process_time if engine == "sqlite" else time.perf_counter
    for name, rows in (("all rows", Item.objects.all()), ("filtered", Item.objects.filter(count__lt=5))):
        rounds = []
        for _ in range(ROUNDS):
            counted = _seconds(rows.count, clock)
            before = len(connection.queries_log)
            connection.force_debug_cursor = True
            cut = _seconds(lambda rows=rows: _cut(rows), clock)  # type: ignore[misc]  # mypy infers no type for a lambda with a default
            connection.force_debug_cursor = False
            rounds.append((counted, cut, len(connection.queries_log) - before))
        ratios = [cut / counted for counted, cut, _ in rounds]
        note = f"{min(ratios):.2f} to {max(ratios):.2f}, {rounds[0][2]} queries"
        what = f"{SHARD_COUNT} shards of {count:,} rows, {engine}, {name}"
        show(Row(what, statistics.median(ratios), "times count()", GOAL, note=note))
    connection.close()


def _cut(rows: Any) -> None:
    from django_runbook.batch.sources.keyset import Key
    from django_runbook.batch.sources.queryset_source import QuerySetSource

    unused: Any = None
    source = QuerySetSource(rows, key=Key(rows.model), work=unused)
    assert len(source.shard_bounds(SHARD_COUNT)) == SHARD_COUNT


def _seconds(call: Callable[[], object], clock: Callable[[], float]) -> float:
    started = clock()
    call()
    return clock() - started


if __name__ == "__main__":
    main()
