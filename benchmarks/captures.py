"""The peak memory of a run that captures 40 times 2 MB of JSON, beyond a run that prints it only."""

from __future__ import annotations

import json
import statistics
import tempfile
from pathlib import Path

from benchmarks import processes
from benchmarks.table import Row, show

STEP_COUNT = 40
ROUNDS = 3
GOAL = 100


def main() -> None:
    """Print how much memory the captures take: those that no expression reads, and those that one reads."""
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        rows = [{"flight": number, "carrier": f"C{number % 16}", "delay": number % 90} for number in range(42_000)]
        (folder / "rows.json").write_text(json.dumps(rows))
        size = (folder / "rows.json").stat().st_size / 1e6
        reads = "".join(
            f"  - {{command: noop, when: steps.s{number}.output | length == 0}}\n" for number in range(STEP_COUNT)
        )
        for name, keys, end in (
            ("printed", "", ""),
            ("unread", ", capture: json", ""),
            ("read", ", capture: json", reads),
        ):
            steps = [f"  - {{id: s{number}, command: show_file rows.json{keys}}}\n" for number in range(STEP_COUNT)]
            (folder / f"{name}.yml").write_text("".join(["steps:\n", *steps, end]))
        environ = processes.environ_of(folder)
        rounds = [
            {
                name: processes.peak_megabytes(("run_runbook", f"{name}.yml"), environ, folder)
                for name in ("printed", "unread", "read")
            }
            for _ in range(ROUNDS)
        ]
    print(f"{STEP_COUNT} times {size:.1f} MB, printed: {min(one['printed'] for one in rounds):.0f} MB")
    for name, goal in (("unread", GOAL), ("read", None)):
        beyond = statistics.median(one[name] - one["printed"] for one in rounds)
        show(Row(f"{STEP_COUNT} captures of {size:.1f} MB of JSON, {name}", beyond, "MB beyond printing it", goal))


if __name__ == "__main__":
    main()
