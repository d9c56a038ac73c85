"""Runs backfill.yml on two workers of this host, and shows which worker took which shard: ``make demo-workers``."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent
QUEUE = "heavy"
WORKER_COUNT = 2
# A worker ends after its batch; it is killed if it does not.
STOP_SECONDS = 30


def main() -> int:
    """Import the flights, start the workers, run the runbook, end the workers; return the exit code of the run."""
    for words in (
        ("migrate", "--no-input", "--verbosity=0"),
        ("import_flights", "data/flights-2013-01.csv.gz", "--skip-known"),
    ):
        if code := _manage(*words):
            return code
    with contextlib.ExitStack() as stack:
        for _ in range(WORKER_COUNT):
            stack.enter_context(_worker())
        code = _manage("run_runbook", "backfill.yml")
    return code or _manage("show_calls", "--queue", QUEUE, "--status", "done", "--limit", "8")


def _manage(*words: str) -> int:
    sys.stdout.write(f"$ python manage.py {' '.join(words)}\n")
    sys.stdout.flush()
    return subprocess.run(_command(words), cwd=HERE, check=False).returncode


@contextlib.contextmanager
def _worker() -> Iterator[None]:
    words = ("db_worker", "--queue-name", QUEUE, "--interval", "0.1", "--no-startup-delay", "--verbosity", "0")
    with subprocess.Popen(_command(words), cwd=HERE, env=os.environ | {"PYTHONUNBUFFERED": "1"}) as process:
        sys.stdout.write(f"$ python manage.py {' '.join(words)} &  # process {process.pid}\n")
        sys.stdout.flush()
        try:
            yield
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


def _command(words: tuple[str, ...]) -> list[str]:
    return [sys.executable, "manage.py", *words]


if __name__ == "__main__":
    sys.exit(main())
