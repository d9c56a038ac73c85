"""Reading a CSV file with a `FileBatchCommand`, as a ratio to `csv.DictReader`, in processor time and in turns.

Neither side does anything with the rows. ``python -m benchmarks.files --rows 200000`` reads fewer than a million.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from benchmarks.table import Row, show

ROUNDS = 5
BATCH_SIZE = 5000
HEADER = "flight,day,origin,destination,carrier,delay,note"


def main() -> None:
    """Print the ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "flights.csv"
        with path.open("w") as file:
            print(HEADER, file=file)
            for number in range(given.rows):
                print(
                    f'{number},2013-01-{number % 28 + 1:02},EWR,LAX,UA,{number % 90},"on time, gate {number % 40}"',
                    file=file,
                )
        os.environ |= {
            "DJANGO_SETTINGS_MODULE": "benchmarks.batch_settings",
            "BENCHMARK_ENGINE": "sqlite",
            "BENCHMARK_DATABASE": str(Path(directory) / "db.sqlite3"),
        }
        import django

        django.setup()
        from django.core.management import call_command

        call_command("migrate", verbosity=0)
        command = _new_command()

        def ours() -> None:
            call_command(command, str(path), batch_size=BATCH_SIZE, stdout=io.StringIO(), stderr=sys.stderr)

        sides = (lambda: _by_hand(path), ours)
        rounds = [[_seconds(side) for side in sides] for _ in range(ROUNDS)]
    ratios = [ours / by_hand for by_hand, ours in rounds]
    print(f"csv.DictReader: {min(by_hand for by_hand, _ in rounds):.2f} s of processor time")
    note = f"{min(ratios):.2f} to {max(ratios):.2f}"
    what = f"FileBatchCommand reading {given.rows:,} lines"
    show(Row(what, statistics.median(ratios), "times csv.DictReader", 1.5, note=note))


def _new_command() -> Any:
    from django_runbook.batch import FileBatchCommand

    class Command(FileBatchCommand):
        def process_batch(self, rows: Sequence[Any]) -> None:
            pass

    Command.__module__ = "benchmarks.management.commands.read_rows"
    return Command()


def _by_hand(path: Path) -> None:
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        while list(islice(reader, BATCH_SIZE)):
            pass


def _seconds(call: Callable[[], None]) -> float:
    started = time.process_time()
    call()
    return time.process_time() - started


if __name__ == "__main__":
    main()
