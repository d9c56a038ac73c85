"""Cost of a step in a process of its own, after the first, against the same step as a `manage.py` process."""

from __future__ import annotations

import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

STEP_COUNT = 10
ROUNDS = 3


def main() -> None:
    """Print both and their ratio; the two sides take turns, so that a slow moment of the machine meets both."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
    import django

    django.setup()
    from django.core.management import call_command

    with tempfile.TemporaryDirectory() as directory:

        def runbook(count: int) -> Callable[[], None]:
            path = Path(directory) / f"noop{count}.yml"
            path.write_text("steps:\n" + "  - {command: noop, isolate: true}\n" * count)
            return lambda: call_command("run_runbook", str(path), format="plain", stdout=io.StringIO())

        def processes() -> None:
            for _ in range(STEP_COUNT):
                subprocess.run([sys.executable, "-m", "django", "noop"], check=True, timeout=60)

        one, many = runbook(1), runbook(1 + STEP_COUNT)
        rounds = [(_seconds(processes), _seconds(one), _seconds(many)) for _ in range(ROUNDS)]
    manage = [first * 1000 / STEP_COUNT for first, _, _ in rounds]
    # What the first step costs more, since the server starts with it, is in both runs.
    isolated = [(many - one) * 1000 / STEP_COUNT for _, one, many in rounds]
    print(f"manage.py noop          {statistics.median(manage):.0f} ms")
    print(f"run with one step       {statistics.median(one for _, one, _ in rounds) * 1000:.0f} ms, with its server")
    print(f"each further isolated   {statistics.median(isolated):.1f} ms (goal: under 60 ms)")
    print(f"median of ratios        {statistics.median(a / b for a, b in zip(isolated, manage, strict=True)):.3f}")


def _seconds(call: Callable[[], None]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
