"""Measures steps beside a bare `call_command` and a `manage.py` process, in turns, in processor time."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks import processes
from benchmarks.table import Row, show

INLINE_COUNT = 2000
ISOLATED_COUNT = 100
ROUNDS = 7
# Starts differ by more than a step costs; their least times do not.
STARTS = 3

LOOP = """
import io, django
django.setup()
from django.core.management import call_command
for _ in range({count}):
    call_command("noop", stdout=io.StringIO())
"""


def main() -> None:
    """Print the cost of a no-op step in each way, and the ratios to the plain ways."""
    processes.adopt_orphans()
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        # Compiled code is kept, as it is where a package is installed.
        environ = processes.environ_of(folder, PYTHONPYCACHEPREFIX=str(folder / "compiled"))
        environ.pop("PYTHONDONTWRITEBYTECODE", None)
        for count in (1, 2, 1 + ISOLATED_COUNT, 2 + INLINE_COUNT):
            (folder / f"noop{count}.yml").write_text("steps:\n" + "  - noop\n" * count)

        def seconds(*words: str) -> float:
            return processes.manage(words, environ, folder)

        def steps(*options: str) -> Callable[[int], float]:
            return lambda count: seconds("run_runbook", f"noop{count}.yml", *options)

        def loop(count: int) -> float:
            return processes.python(("-c", LOOP.format(count=count)), environ, folder)

        def once() -> dict[str, float]:
            inline, isolated = steps("--inline"), steps()
            starts = [(inline(1), isolated(1)) for _ in range(STARTS)]
            first = min(second for _, second in starts)
            many = isolated(1 + ISOLATED_COUNT)
            return {
                "a bare call_command": _each(loop(2), loop(2 + INLINE_COUNT)),
                "an inline step": _each(inline(2), inline(2 + INLINE_COUNT)),
                "a run of an inline step": min(first for first, _ in starts),
                "a run of an isolated step": first,
                "each further isolated step": (many - first) / ISOLATED_COUNT,
                "a manage.py process": seconds("noop"),
            }

        once()
        rounds = [once() for _ in range(ROUNDS)]
    medians = {name: statistics.median(one[name] for one in rounds) * 1000 for name in rounds[0]}
    least = {name: min(one[name] for one in rounds) * 1000 for name in rounds[0]}
    for name, found in medians.items():
        print(f"{name:<28} {found:8.2f} ms of processor time")
    _show(rounds, "an inline step", "a bare call_command", goal=1.0)
    _show(rounds, "each further isolated step", "a manage.py process")
    first = least["a run of an isolated step"] - least["a run of an inline step"]
    show(Row("the first isolated step", first, "ms beyond an inline one", 40, note="of the least times"))
    # Its process calls the command, as the bare call does.
    beyond = medians["each further isolated step"] - medians["a bare call_command"]
    show(Row("each further isolated step", beyond, "ms beyond the command", 10))


def _each(few: float, many: float) -> float:
    """Return the cost of one call; start-up is in both figures."""
    return (many - few) / INLINE_COUNT


def _show(rounds: list[dict[str, float]], name: str, base: str, *, goal: float | None = None) -> None:
    ratios = [each[name] / each[base] for each in rounds]
    show(Row(name, statistics.median(ratios), f"times {base}", goal, note=f"{min(ratios):.2f} to {max(ratios):.2f}"))


if __name__ == "__main__":
    main()
