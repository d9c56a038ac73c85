"""Forks programs from a process that has set Django up, each in a process group of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from django.core.management import execute_from_command_line
from django.db import connections

from tests.patience import wait_until


class Fork:
    """Represents a forked process; ``code`` is its exit code once it has ended."""

    def __init__(self, work: Callable[[], object], *, folder: Path, name: str) -> None:
        self.code: int | None = None
        self._path = folder / f"{name}.out"
        self._path.touch()
        self.pid = os.fork()
        if not self.pid:
            _become(work, folder, self._path)
        # Here too: the group may be killed before the process has made it.
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpgid(self.pid, self.pid)

    @classmethod
    def manage(cls, words: Sequence[str], *, folder: Path, name: str) -> Fork:
        """Call a command as `manage.py` does."""

        def work() -> None:
            sys.argv[:] = ["manage.py", *words]
            execute_from_command_line(sys.argv)

        return cls(work, folder=folder, name=name)

    @classmethod
    def celery(cls, words: Sequence[str], *, folder: Path, name: str) -> Fork:
        """Call Celery's command line with the app of the tests."""

        def work() -> None:
            from tests.queues.celery_app import app

            app.worker_main(words)

        return cls(work, folder=folder, name=name)

    @property
    def output(self) -> str:
        return self._path.read_text(errors="replace")

    def is_alive(self) -> bool:
        if self.code is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is None

    def wait(self) -> int:
        """Wait for the end of the process, and return its exit code."""
        wait_until(lambda: not self.is_alive(), what=f"the end of a process\n{self.output}")
        assert self.code is not None
        return self.code

    def signal(self, number: int) -> None:
        if self.is_alive():
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the process and its group."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        if self.code is None:
            self.code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


@contextlib.contextmanager
def closed_after() -> Iterator[None]:
    """Close the connections to databases at the end: they cannot be shared with processes that are forked later."""
    try:
        yield
    finally:
        connections.close_all()


def _become(work: Callable[[], object], folder: Path, path: Path) -> None:
    code = 70
    try:
        os.setpgid(0, 0)
        with path.open("ab") as stream:
            os.dup2(stream.fileno(), 1)
            os.dup2(stream.fileno(), 2)
        os.chdir(folder)
        work()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:  # noqa: BLE001 - of a process that ends here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
