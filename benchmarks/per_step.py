"""Per-step cost of a runbook of 1,000 no-op commands, as a ratio to a bare loop of `call_command` in the same run."""

from __future__ import annotations

import io
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

STEP_COUNT = 1000
ROUNDS = 9


def main() -> None:
    """Print the ratio; both sides take turns, so that a slow moment of the machine meets both."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "benchmarks.settings")
    import django

    django.setup()
    from django.core.management import call_command

    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "noop.yml"
        path.write_text("steps:\n" + "  - noop\n" * STEP_COUNT)

        def loop() -> None:
            for _ in range(STEP_COUNT):
                call_command("noop", stdout=io.StringIO())

        def runbook() -> None:
            call_command("run_runbook", str(path), format="plain", stdout=io.StringIO())

        rounds = [(_seconds(loop), _seconds(runbook)) for _ in range(ROUNDS)]
    loops, runbooks = [first for first, _ in rounds], [second for _, second in rounds]
    print(f"bare loop        {min(loops) * 1000 / STEP_COUNT:.3f} ms a step")
    print(f"run_runbook      {min(runbooks) * 1000 / STEP_COUNT:.3f} ms a step, with reading and checking the file")
    print(f"ratio of minima  {min(runbooks) / min(loops):.2f} (goal: at most 1.30)")
    print(f"median of ratios {statistics.median(second / first for first, second in rounds):.2f}")


def _seconds(call: Callable[[], None]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
