"""Runs the benchmarks and prints one table of what they find, with the machine and the versions.

``python -m benchmarks`` runs all of them, in an hour; ``python -m benchmarks steps output`` runs some.
"""

from __future__ import annotations

import argparse
import datetime
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.table import VARIABLE, Row, read

# Each script with its arguments; the time that it takes decides the order.
SCRIPTS: dict[str, Sequence[Sequence[str]]] = {
    "start_up": [()],
    "check": [()],
    "steps": [()],
    "peers": [()],
    "parallel": [()],
    "journal": [(), ("postgresql",)],
    "output": [("--megabytes", "100"), ("--megabytes", "100", "--width", "1000")],
    "captures": [()],
    "growth": [(), ("postgresql", "recorded steps", "resume", "recorded items")],
    "files": [()],
    "shards": [(), ("postgresql",)],
    "admin": [()],
    "daily": [()],
}


def main() -> None:
    """Run the scripts and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of {', '.join(SCRIPTS)}; default: all")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in SCRIPTS]:
        parser.error(f"there is no benchmark {unknown[0]}")
    load = os.getloadavg()[0]
    lines = [*_table(_found(given.names or [*SCRIPTS])), "", _conditions(load, os.getloadavg()[0])]
    print("\n".join(lines))


def _found(names: Sequence[str]) -> list[Row]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "rows"
        path.touch()
        for name in names:
            for words in SCRIPTS[name]:
                print(f"benchmarks.{name} {' '.join(words)}".strip(), file=sys.stderr, flush=True)
                command = [sys.executable, "-m", f"benchmarks.{name}", *words]
                # One that fails, for example without PostgreSQL, says why, and the others go on.
                subprocess.run(command, env={**os.environ, VARIABLE: str(path)}, stdout=sys.stderr, check=False)
        return read(path)


def _table(rows: Sequence[Row]) -> Iterator[str]:
    yield "| what | found | goal |"
    yield "|---|---|---|"
    yield from (f"| {row.what} | {row.finding} | {row.verdict} |" for row in rows)


def _conditions(*loads: float) -> str:
    import django

    from django_runbook import __version__

    day = datetime.datetime.now(datetime.UTC).date()
    return (
        f"{day}: django-runbook {__version__}, Python {platform.python_version()}, Django {django.get_version()}, "
        f"{platform.system()} on {os.cpu_count()} processors ({platform.machine()}), "
        f"load {loads[0]:.1f} before and {loads[1]:.1f} after."
    )


if __name__ == "__main__":
    main()
