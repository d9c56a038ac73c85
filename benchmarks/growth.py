"""Measures what each step costs in runs of 1,000, 3,000 and 10,000 steps, in processor time and in peak memory.

``python -m benchmarks.growth`` measures on SQLite, ``python -m benchmarks.growth postgresql`` there; a name, such as
``resume``, measures that case alone, and ``--sizes 1000 3000`` fewer steps.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import processes
from benchmarks.batch import new_database
from benchmarks.processes import Cost
from benchmarks.table import Row, show

SIZES = (1000, 3000, 10_000)
# A loop has no more items.
LOOP_SIZES = (100, 300, 1000)
# The start of a short run differs by more than its steps cost; its least time does not.
SHORT = 1000
GOAL = 1.2


class Case(NamedTuple):
    """Describes a runbook and the command that is measured; ``is_resumed`` if its last step has failed before."""

    words: tuple[str, ...]
    is_loop: bool = False
    is_resumed: bool = False

    def text(self, size: int) -> str:
        """Return a runbook of this many steps or items; the last step fails if there is no file ``mark``."""
        if self.is_loop:
            return f"steps: [{{command: noop, for_each: {list(range(size))}}}]\n"
        return "steps:\n" + "  - noop\n" * (size - 1) + "  - show_file mark\n"


RUN = ("run_runbook", "it.yml")
CASES = {
    "check": Case(("check_runbooks", "it.yml")),
    "plan": Case((*RUN, "--plan")),
    "steps": Case((*RUN, "--inline", "--no-journal")),
    "recorded steps": Case((*RUN, "--inline")),
    "JSON lines": Case((*RUN, "--inline", "--no-journal", "--format", "jsonl")),
    "resume": Case((*RUN, "--inline", "--resume"), is_resumed=True),
    "recorded items": Case((*RUN, "--inline"), is_loop=True),
    "isolated items": Case(RUN, is_loop=True),
}


def main() -> None:
    """Print the cost of a step at each size, and the ratio of the largest to the one before it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"postgresql, or some of: {', '.join(CASES)}")
    parser.add_argument("--sizes", nargs="+", type=int, default=SIZES, metavar="N")
    parser.add_argument("--turns", type=int, default=3, metavar="N", help="runs of a short one; default: 3")
    given = parser.parse_args()
    engine = "postgresql" if "postgresql" in given.names else "sqlite"
    processes.adopt_orphans()
    for name in [name for name in given.names if name != engine] or CASES:
        case = CASES[name]
        sizes = LOOP_SIZES if case.is_loop else given.sizes
        _show(f"{name}, {engine}", sizes, [_least(case, size, engine, turns=given.turns) for size in (1, *sizes)])


def _least(case: Case, size: int, engine: str, *, turns: int) -> Cost:
    costs = [_cost(case, size, engine) for _ in range(turns if size <= SHORT else 1)]
    return min(costs, key=lambda cost: cost.seconds)


def _cost(case: Case, size: int, engine: str) -> Cost:
    with tempfile.TemporaryDirectory() as directory, new_database(engine) as database:
        folder = Path(directory)
        environ = processes.environ_of(folder, **database | {"DJANGO_SETTINGS_MODULE": "benchmarks.growth_settings"})
        processes.manage(("migrate", "--verbosity", "0"), environ, folder)
        (folder / "it.yml").write_text(case.text(size))
        if case.is_resumed:
            processes.cost(("-m", "django", *RUN, "--inline"), environ, folder, status=1)
        (folder / "mark").touch()
        return processes.cost(("-m", "django", *case.words), environ, folder)


def _show(what: str, sizes: Sequence[int], costs: Sequence[Cost]) -> None:
    start, *rest = costs
    times, sizes_in_kb = [], []
    for size, cost in zip(sizes, rest, strict=True):
        times.append((cost.seconds - start.seconds) * 1000 / size)
        sizes_in_kb.append((cost.megabytes - start.megabytes) * 1024 / size)
        print(f"{what}, {size}: {times[-1]:.3f} ms and {sizes_in_kb[-1]:.2f} kB each, of {cost.megabytes:.0f} MB")
    note = ", ".join(f"{size_in_kb:.1f}" for size_in_kb in sizes_in_kb) + " kB each"
    # At the smallest size, starts that differ change the time of a step too much.
    larger = f"times one of {sizes[-2]}"
    show(Row(f"{what}: the time of one of {sizes[-1]}", times[-1] / times[-2], larger, GOAL, note=note))


if __name__ == "__main__":
    main()
