"""What ``max_parallel: 2`` gains over a sequence, with commands that do nothing and with ones that wait, in turns.

By the clock: the two cores of a machine that does nothing else are what is measured.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks import processes
from benchmarks.table import Row, show

ITEM_COUNT = 40
ROUNDS = 5
GOAL = 1.6


def main() -> None:
    """Print how many times as fast two at a time are."""
    processes.adopt_orphans()
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        items = ", ".join(map(str, range(ITEM_COUNT)))
        for name, command in (("noop", "noop"), ("wait", "effect it --log log --pause 0.1")):
            for at_once in (1, 2):
                text = f"steps: [{{command: {command}, for_each: [{items}], max_parallel: {at_once}}}]\n"
                (folder / f"{name}{at_once}.yml").write_text(text)
        environ = processes.environ_of(folder)

        def measured(name: str) -> tuple[float, float]:
            began = time.monotonic()
            used = processes.manage(("run_runbook", f"{name}.yml"), environ, folder)
            return time.monotonic() - began, used

        for name, goal in (("noop", GOAL), ("wait", None)):
            rounds = [[measured(f"{name}{at_once}") for at_once in (1, 2)] for _ in range(ROUNDS)]
            speedups = [one[0][0] / one[1][0] for one in rounds]
            used = statistics.median(one[1][1] for one in rounds) * 1000 / ITEM_COUNT
            note = f"{min(speedups):.2f} to {max(speedups):.2f}; {used:.0f} ms of processor time an item"
            what = f"{ITEM_COUNT} items of {name}, two at a time"
            show(Row(what, statistics.median(speedups), "times as fast as one", goal, is_minimum=True, note=note))


if __name__ == "__main__":
    main()
