"""Forks the processes of a walk from one that has set Django up, and asks about them without waiting."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.executors.processes import living


class Process:
    """A forked child, whose output goes to a file."""

    def __init__(self, call: Callable[[], Any], *, folder: Path, output: Path, stdin: int | None = None) -> None:
        self._exit_code: int | None = None
        self.output = output
        self.pid = os.fork()
        if not self.pid:
            _be(call, folder=folder, output=output, stdin=stdin)

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it is alive."""
        if self._exit_code is None:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                self._exit_code = os.waitstatus_to_exitcode(status)
        return self._exit_code

    @property
    def text(self) -> str:
        return self.output.read_text(errors="replace") if self.output.exists() else ""


def children_of(pid: int) -> list[int]:
    """Return the processes that another one has started."""
    return [child for child, (parent, _, _) in living().items() if parent == pid]


def _be(call: Callable[[], Any], *, folder: Path, output: Path, stdin: int | None) -> None:
    code = 99
    try:
        os.setsid()
        os.chdir(folder)
        written = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDONLY) if stdin is None else stdin, 0)
        for stream in (1, 2):
            os.dup2(written, stream)
        code = int(call() or 0)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:  # noqa: BLE001 - whatever it is belongs into the output
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
