"""Start-up of `run_runbook` with one no-op step, as ratios to `manage.py noop`, in processes that take turns.

The ratios are those of processor time, which other work on the machine disturbs less than the clock.
"""

from __future__ import annotations

import os
import pty
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks.table import Row, show

ROUNDS = 15
TYPED = """\
steps:
  - {id: one, command: noop, tags: [data], retry: {attempts: 3, delay: 10s}, timeout: 10m, continue_on_error: true}
"""
EXPRESSION = """\
params: {day: {type: date, default: "${{ today }}"}}
steps: [{command: noop, when: params.day == today}]
"""


class Case(NamedTuple):
    """Describes a runbook, where its report goes, and the ratio to reach."""

    name: str
    text: str
    goal: float
    is_on_terminal: bool = False


CASES = (
    Case("plain", "steps: [noop]\n", 1.15),
    Case("typed keys", TYPED, 1.25),
    Case("expression", EXPRESSION, 1.35),
    Case("plain, on a terminal", "steps: [noop]\n", 1.23, is_on_terminal=True),
)


def main() -> None:
    """Print the ratio of each case."""
    with tempfile.TemporaryDirectory() as directory:
        paths = [Path(directory) / f"{number}.yml" for number in range(len(CASES))]
        for path, case in zip(paths, CASES, strict=True):
            path.write_text(case.text)
        calls = [
            (("noop",), False),
            *((("run_runbook", str(path)), case.is_on_terminal) for path, case in zip(paths, CASES, strict=True)),
        ]
        # Compiled code is kept, as it is where a package is installed; a round before the others fills the store.
        environ = _environ(str(Path(directory) / "compiled"))
        rounds = [
            [_seconds(words, environ, is_on_terminal=is_on_terminal) for words, is_on_terminal in calls]
            for _ in range(ROUNDS + 1)
        ][1:]
    plain, *others = zip(*rounds, strict=True)
    print(f"manage.py noop: {min(plain) * 1000:.0f} ms of processor time")
    for case, times in zip(CASES, others, strict=True):
        ratio = statistics.median(one / base for one, base in zip(times, plain, strict=True))
        note = f"ratio of minima {min(times) / min(plain):.2f}"
        show(Row(f"one no-op step, {case.name}", ratio, "times manage.py noop", case.goal, note=note))


def _environ(store: str) -> dict[str, str]:
    environ = {**os.environ, "DJANGO_SETTINGS_MODULE": "benchmarks.settings", "PYTHONPYCACHEPREFIX": store}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**environ, "TERM": "xterm"}


def _seconds(words: Sequence[str], environ: Mapping[str, str], *, is_on_terminal: bool) -> float:
    """Run a management command; return the processor time of its process in seconds."""
    read_end, write_end = pty.openpty() if is_on_terminal else os.pipe()
    command = [sys.executable, "-m", "django", *words]
    output = [(os.POSIX_SPAWN_DUP2, write_end, 1), (os.POSIX_SPAWN_DUP2, write_end, 2)]
    pid = os.posix_spawn(sys.executable, command, environ, file_actions=output)
    # The few lines of the report fit into the buffer.
    _, status, usage = os.wait4(pid, 0)
    text = os.read(read_end, 65536) if status or is_on_terminal else b""
    os.close(read_end)
    os.close(write_end)
    if status:
        raise SystemExit(text.decode())
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
