"""Keeps a command that runs in the process of the run from ending that process, or from replacing it by a program."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final, NoReturn

# What `os.execvp` and its like call in the end.
_REPLACING: Final = ("execv", "execve")
# As it was before any command: our own ends are meant.
leave: Final[Callable[[int], NoReturn]] = os._exit


class ProcessExit(BaseException):
    """Ends a command that asked for the end of its process; no ``except Exception`` takes it."""


class ExitGuard:
    """Takes note of the end that a command asked for, also if the command has swallowed the exception."""

    def __init__(self, *, errors: int) -> None:
        self.message = ""
        self._errors = errors
        self._pid = os.getpid()
        self._thread = threading.get_ident()

    def exit(self, status: int = 1) -> NoReturn:
        """Stand in for `os._exit`."""
        call = f"os._exit({status})"
        if os.getpid() != self._pid:
            leave(status)
        if threading.get_ident() != self._thread:
            # Nothing can be raised in the thread of the command, which may wait for this very end.
            os.write(self._errors, f"a thread of the command called {call}: the run ends\n".encode())
            leave(status % 256 or 1)
        self.refuse(f"the command called {call}, which ends the process of the run: isolate the step")

    def refuse(self, message: str) -> NoReturn:
        self.message = self.message or message
        raise ProcessExit(message)

    def replacing(self, name: str, original: Callable[..., NoReturn]) -> Callable[..., NoReturn]:
        """Return what stands in for a function that replaces the process by a program."""

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
    """Have the command in this block fail if it ends the process or replaces it; processes that it forks may.

    ``errors`` is the descriptor to which the end of the process is reported, if it cannot be kept from ending.
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
