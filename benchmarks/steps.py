"""Measures an isolated and an inline step beside a bare `call_command` and a `manage.py` process, in turns."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

STEP_COUNT = 200
PROCESS_COUNT = 5
ROUNDS = 5

LOOP = f"""
import io, time, django
django.setup()
from django.core.management import call_command
call_command("noop", stdout=io.StringIO())
started = time.perf_counter()
for _ in range({STEP_COUNT}):
    call_command("noop", stdout=io.StringIO())
print(time.perf_counter() - started)
"""


def main() -> None:
    """Prints the cost of a no-op step in each way, and the ratios to the plain ways."""
    with tempfile.TemporaryDirectory() as directory:
        # A database in a file, since a process of its own cannot see one in memory.
        environ = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
            "BENCHMARK_DATABASE": str(Path(directory) / "db.sqlite3"),
        }
        one, many = _runbook(directory, count=1), _runbook(directory, count=1 + STEP_COUNT)

        def manage(*arguments: str) -> float:
            command = [sys.executable, "-m", "django", *arguments]
            return _seconds(lambda: subprocess.run(command, env=environ, check=True, capture_output=True))

        def steps(*options: str) -> float:
            # Start-up is in both runs and falls out of the difference.
            return (manage("run_runbook", many, *options) - manage("run_runbook", one, *options)) / STEP_COUNT

        def loop() -> float:
            output = subprocess.run([sys.executable, "-c", LOOP], env=environ, check=True, capture_output=True).stdout
            return float(output) / STEP_COUNT

        manage("noop")
        rounds = [
            {
                "bare call_command": loop(),
                "inline step": steps("--inline"),
                "isolated step": steps(),
                "manage.py process": sum(manage("noop") for _ in range(PROCESS_COUNT)) / PROCESS_COUNT,
            }
            for _ in range(ROUNDS)
        ]
    for name in rounds[0]:
        print(f"{name:<18} {statistics.median(each[name] for each in rounds) * 1000:8.2f} ms")
    _print_ratio(rounds, "inline step", "bare call_command")
    _print_ratio(rounds, "isolated step", "manage.py process")


def _runbook(directory: str, *, count: int) -> str:
    path = Path(directory) / f"noop{count}.yml"
    path.write_text("steps:\n" + "  - noop\n" * count)
    return str(path)


def _seconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def _print_ratio(rounds: list[dict[str, float]], name: str, base: str) -> None:
    ratio = statistics.median(each[name] / each[base] for each in rounds)
    print(f"{name} to {base}: {ratio:.3f} (median of {len(rounds)} ratios)")


if __name__ == "__main__":
    main()
