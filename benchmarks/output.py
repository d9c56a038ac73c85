"""The output of a command that writes many lines, as ratios to the command alone, in processes that take turns.

JSON lines are compared with plain lines of the same kind of run, and secrets with none. The ratios are those of
processor time, with that of the step's own process (Linux).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path
from typing import NamedTuple

from benchmarks import processes
from benchmarks.table import Row, show

ROUNDS = 3
# As many lines as a private key has in PEM.
SECRET = "\n".join(f"{number:02}MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7{number}" for number in range(50))


class Case(NamedTuple):
    """Describes a run, the case that it is compared with, and the ratio to reach."""

    name: str
    base: str
    goal: float
    options: tuple[str, ...] = ()
    file: str = "plain"


ALONE = "the command alone"
CASES = (
    Case("inline", ALONE, 2.5, ("--inline",)),
    Case("isolated", ALONE, 4.0),
    Case("inline, --log-dir", ALONE, 3.0, ("--inline", "--log-dir", "logs")),
    Case("inline, jsonl", "inline", 2.2, ("--inline", "--format", "jsonl")),
    Case("inline, a secret of 50 lines", "inline", 1.5, ("--inline",), "secret"),
    Case("isolated, a secret of 50 lines", "isolated", 1.5, (), "secret"),
)


def main() -> None:
    """Print the ratio of each case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--megabytes", type=int, default=20, help="size of the output (default: 20)")
    parser.add_argument("--width", type=int, default=100, help="length of a line in bytes (default: 100)")
    given = parser.parse_args()
    processes.adopt_orphans()
    count = given.megabytes * 1_000_000 // given.width
    command = ("write_lines", str(count), str(given.width - 1))
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        (folder / "plain.yml").write_text(f"steps: ['{' '.join(command)}']\n")
        (folder / "secret.yml").write_text(f"secrets: [KEY]\nsteps: ['{' '.join(command)}']\n")
        environ = processes.environ_of(folder, KEY=SECRET)
        calls: dict[str, tuple[str, ...]] = {ALONE: command}
        calls |= {case.name: ("run_runbook", f"{case.file}.yml", *case.options) for case in CASES}
        rounds = [
            {name: processes.manage(words, environ, folder) for name, words in calls.items()} for _ in range(ROUNDS)
        ]
    print(f"{ALONE}: {count} lines, {min(one[ALONE] for one in rounds):.2f} s of processor time")
    for case in CASES:
        ratios = [one[case.name] / one[case.base] for one in rounds]
        lowest = min(one[case.name] for one in rounds) / min(one[case.base] for one in rounds)
        note = f"ratio of minima {lowest:.2f}"
        show(Row(f"{count} lines, {case.name}", statistics.median(ratios), f"times {case.base}", case.goal, note=note))


if __name__ == "__main__":
    main()
