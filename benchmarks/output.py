"""The output of a command that writes many lines, as ratios to the command alone, in processes that take turns.

JSON lines are compared with plain lines of the same kind of run, and secrets with none. The ratios are those of
processor time, with that of the step's own process.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

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
    count = given.megabytes * 1_000_000 // given.width
    command = ("write_lines", str(count), str(given.width - 1))
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        (folder / "plain.yml").write_text(f"steps: ['{' '.join(command)}']\n")
        (folder / "secret.yml").write_text(f"secrets: [KEY]\nsteps: ['{' '.join(command)}']\n")
        environ = {
            **os.environ,
            "DJANGO_SETTINGS_MODULE": "benchmarks.settings",
            "BENCHMARK_DATABASE": str(folder / "db.sqlite3"),
            "PYTHONPATH": os.pathsep.join(filter(None, (str(Path.cwd()), os.environ.get("PYTHONPATH", "")))),
            "KEY": SECRET,
        }
        calls: dict[str, tuple[str, ...]] = {ALONE: command}
        calls |= {case.name: ("run_runbook", f"{case.file}.yml", *case.options) for case in CASES}
        rounds = [{name: _seconds(words, environ, folder) for name, words in calls.items()} for _ in range(ROUNDS)]
    print(f"{ALONE}: {count} lines, {min(one[ALONE] for one in rounds):.2f} s of processor time")
    for case in CASES:
        ratio = statistics.median(one[case.name] / one[case.base] for one in rounds)
        lowest = min(one[case.name] for one in rounds) / min(one[case.base] for one in rounds)
        print(f"{case.name:32} {ratio:5.2f} times {case.base} (minima {lowest:.2f}; goal: at most {case.goal})")


def _seconds(words: Sequence[str], environ: Mapping[str, str], folder: Path) -> float:
    """Run a management command; return the processor time of its process and of those that it waited for."""
    pid = os.fork()
    if pid == 0:
        os.chdir(folder)
        null = os.open(os.devnull, os.O_WRONLY)
        for number in (1, 2):
            os.dup2(null, number)
        os.execve(sys.executable, [sys.executable, "-m", "django", *words], dict(environ))
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise SystemExit(f"{words} ended with the status {status}")
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
