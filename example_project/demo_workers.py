"""Runs backfill.yml on two workers of this host, and shows which worker took which shard: ``make demo-workers``."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

HERE = Path(__file__).resolve().parent
QUEUE = "heavy"
WORKER_COUNT = 2
# A worker ends after its batch; it is killed if it does not.
STOP_SECONDS = 30
WORKER = "db_worker"
GUARD = "--guard"


def main() -> int:
    """Import the flights, start the workers, run the runbook, end the workers; return the exit code of the run."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _exit)
    for words in (
        ("migrate", "--no-input", "--verbosity=0"),
        ("import_flights", "data/flights-2013-01.csv.gz", "--skip-known"),
    ):
        if code := _manage(*words):
            return code
    worker = (WORKER, "--queue-name", QUEUE, "--interval", "0.1", "--no-startup-delay", "--verbosity", "0")
    with contextlib.ExitStack() as stack:
        for _ in range(WORKER_COUNT):
            stack.enter_context(_guarded(worker))
        code = _manage("run_runbook", "backfill.yml")
    return code or _manage("show_calls", "--queue", QUEUE, "--status", "done", "--limit", "8")


def _exit(number: int, frame: object) -> NoReturn:
    sys.exit(128 + number)


def _manage(*words: str) -> int:
    with _guarded(words) as process:
        return process.wait()


@contextlib.contextmanager
def _guarded(words: tuple[str, ...]) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command that ends with the context, and with this process, however that ends.

    The system closes the pipe at the death of this process, on Linux and on macOS. In a session of its own, the command
    survives a signal to the group of this process, or the end of the terminal, until its guard stops it.
    """
    read, write = os.pipe()
    with os.fdopen(read, "rb"), os.fdopen(write, "wb") as alive:
        guard = [sys.executable, __file__, GUARD, str(read), *words]
        environ = os.environ | {"PYTHONUNBUFFERED": "1"}
        with subprocess.Popen(guard, cwd=HERE, env=environ, pass_fds=[read], start_new_session=True) as process:
            try:
                yield process
            finally:
                alive.close()
                process.wait()


def guard(end: int, words: list[str]) -> int:
    """Run a command of ``manage.py``, and stop it once the other ends of the pipe are closed; return its exit code."""
    process = subprocess.Popen([sys.executable, "manage.py", *words])
    sys.stdout.write(f"$ python manage.py {' '.join(words)}{f' &  # process {process.pid}' * (words[0] == WORKER)}\n")
    sys.stdout.flush()

    def stop_at_end() -> None:
        os.read(end, 1)
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(0, signal.SIGKILL)

    threading.Thread(target=stop_at_end, daemon=True).start()
    code = process.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(guard(int(sys.argv[2]), sys.argv[3:]) if sys.argv[1:2] == [GUARD] else main())
