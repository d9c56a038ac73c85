"""Measures the example's daily.yml with a process per step against the same runbook inline, in turns."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.table import Row, show

ROOT = Path(__file__).resolve().parent.parent
ROUNDS = 5


def main() -> None:
    """Prints both times and their ratio; each run starts with an empty database."""
    rounds = []
    for number in range(ROUNDS):
        # The side that runs first changes, so that neither gains from a warm or a cold disk.
        sides = [("isolated", ()), ("inline", ("--inline",))]
        rounds.append({side: _seconds(*options) for side, options in (sides if number % 2 else reversed(sides))})
    for side in ("inline", "isolated"):
        print(f"daily.yml {side:<9} {statistics.median(each[side] for each in rounds):.1f} s")
    ratio = statistics.median(each["isolated"] / each["inline"] for each in rounds)
    show(Row("the example's daily.yml, isolated", ratio, "times inline", 1.15))


def _seconds(*options: str) -> float:
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, str(ROOT / "example_project" / "manage.py"), "run_runbook", "daily.yml", *options]
        environ = {**os.environ, "FLIGHTDESK_VAR": directory}
        started = time.perf_counter()
        subprocess.run(command, env=environ, cwd=ROOT, check=True, capture_output=True)
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
