"""Prevents an inline command from ending the process of the run, or replacing it with another program."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn

# `os.execvp` and similar functions call these.
_REPLACING: Final = ("execv", "execve")
# The original function, for exits of our own.
leave: Final[Callable[[int], NoReturn]] = os._exit


class ProcessExit(BaseException):
    """Ends a command that tried to end its process; ``except Exception`` does not catch it."""


class ExitGuard:
    """Records that a command tried to end its process, even if the command swallows the exception."""

    def __init__(self, *, errors: int) -> None:
        self.message = ""
        self._errors = errors
        self._pid = os.getpid()
        self._thread = threading.get_ident()

    def exit(self, status: int = 1) -> NoReturn:
        """Replace `os._exit`."""
        call = f"os._exit({status})"
        if os.getpid() != self._pid:
            leave(status)
        if threading.get_ident() != self._thread:
            # An exception here would not reach the thread of the command, which may be waiting for this exit.
            os.write(self._errors, f"a thread of the command called {call}: the run ends\n".encode())
            leave(status % 256 or 1)
        self.refuse(f"the command called {call}, which ends the process of the run: isolate the step")

    def refuse(self, message: str) -> NoReturn:
        self.message = self.message or message
        raise ProcessExit(message)

    def replacing(self, name: str, original: Callable[..., NoReturn]) -> Callable[..., NoReturn]:
        """Return a replacement for a function that replaces the process with another program."""

        def refuse(path: Any, *args: Any) -> NoReturn:
            if os.getpid() != self._pid:
                original(path, *args)
            program = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else repr(path)
            self.refuse(
                f'the command called os.{name}("{program}"), which replaces the process of the run: isolate the step'
            )

        return refuse


@contextlib.contextmanager
def refused(*, errors: int = 2) -> Iterator[ExitGuard]:
    """Fail the command in this block if it ends or replaces the process; its forked children may do so.

    If the end of the process cannot be prevented, it is reported on the descriptor ``errors``.
    """
    guard = ExitGuard(errors=errors)
    before = {name: getattr(os, name) for name in ("_exit", *_REPLACING)}
    os._exit = guard.exit
    for name in _REPLACING:
        setattr(os, name, guard.replacing(name, before[name]))
    try:
        yield guard
    finally:
        for name, function in before.items():
            setattr(os, name, function)
