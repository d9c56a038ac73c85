"""Start-up of `run_runbook` with one no-op step, as a ratio to `manage.py noop`, in processes that take turns."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 15


def main() -> None:
    """Print the ratio."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "noop.yml"
        path.write_text("steps: [noop]\n")
        # Compiled code is kept, as it is where a package is installed; the first call of each fills the store.
        store = str(Path(directory) / "compiled")
        rounds = [(_seconds(store, "noop"), _seconds(store, "run_runbook", str(path))) for _ in range(ROUNDS)]
    plain, runbook = [first for first, _ in rounds], [second for _, second in rounds]
    print(f"manage.py noop        {min(plain) * 1000:.0f} ms")
    print(f"manage.py run_runbook {min(runbook) * 1000:.0f} ms")
    print(f"ratio of minima       {min(runbook) / min(plain):.2f} (goal: at most 1.25)")
    print(f"median of ratios      {statistics.median(second / first for first, second in rounds):.2f}")


def _seconds(store: str, *arguments: str) -> float:
    environ = {**os.environ, "DJANGO_SETTINGS_MODULE": "benchmarks.settings", "PYTHONPYCACHEPREFIX": store}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "django", *arguments], env=environ, check=True, capture_output=True)
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
