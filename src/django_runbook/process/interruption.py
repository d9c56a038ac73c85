"""Interrupts the command that runs in this process, if it does not stop by itself."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from typing import Final

from django_runbook.process import exits

_CANCEL_SECONDS: Final = 0.6
# A command that catches the exception gets it again after this time.
RAISE_AGAIN_SECONDS: Final = 0.2


class Shield:
    """Prevents an interruption while our own code runs inside a command."""

    # A class: a generator-based context manager costs five times as much, and one is entered for each line of output.
    __slots__ = ("_interruption",)

    def __init__(self, interruption: Interruption) -> None:
        self._interruption = interruption

    def __enter__(self) -> None:
        self._interruption.shield_count += 1

    def __exit__(self, *error: object) -> None:
        self._interruption.shield_count -= 1


class Interruption:
    """Ends a command by degrees: cancels its SQL statements, raises in the main thread, exits the process.

    The watcher of signals calls `escalate`; the main thread begins and ends commands. With ``exits``, the process
    exits ``force_seconds`` after the first measure.
    """

    def __init__(self, *, force_seconds: float, exits: bool) -> None:
        self.is_ending = False
        self.shield_count = 0
        self.command_began_at: float | None = None
        # The number of requests to stop when the command began.
        self.earlier_request_count = 0
        self._force_seconds = force_seconds
        self._exits = exits
        self._raise_at = self._exit_at = math.inf

    def take_raise(self) -> bool:
        """Return whether to raise in the command now; the next time is later, so that the exception can end it first.

        Each signal asks, and several may come while the exception is on its way out of the command.
        """
        now = time.monotonic()
        is_due = self.is_ending and self.command_began_at is not None and now >= self._raise_at
        if not is_due or self.shield_count:
            return False
        self._raise_at = now + RAISE_AGAIN_SECONDS
        return True

    def begin_command(self, *, request_count: int) -> None:
        self.earlier_request_count = request_count
        self.is_ending = False
        self.command_began_at = time.monotonic()

    def end_command(self) -> None:
        self.command_began_at = None
        self._raise_at = self._exit_at = math.inf

    def escalate(self, began_at: float, *, cancel: Callable[[], int] | None, exit_code: int) -> bool:
        """Take the next measure against the command that began at this time; return whether to raise in it."""
        now = time.monotonic()
        if not self.is_ending:
            # A canceled statement leaves a usable connection; an exception inside the driver does not.
            is_canceled = cancel is not None and cancel() > 0
            self._raise_at = now + (_CANCEL_SECONDS if is_canceled else 0.0)
            self._exit_at = now + self._force_seconds
            # The command may have ended in the meantime, and another one may have begun.
            self.is_ending = self.command_began_at is began_at
        if self._exits and now >= self._exit_at:
            os.write(2, b"the command did not end: the process exits\n")
            exits.leave(exit_code)
        return self.is_ending and now >= self._raise_at
