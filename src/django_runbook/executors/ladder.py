"""The ladder that ends the process of a step: a word to those who listen, SIGTERM, a grace, SIGKILL to the group."""

from __future__ import annotations

import contextlib
import enum
import os
import signal
import time
from dataclasses import dataclass
from typing import Final

from django_runbook.executors import call as messages
from django_runbook.executors.channel import Channel
from django_runbook.process.deadlines import Halt
from django_runbook.process.stopping import Stop

# After a second signal the process of the run itself has two seconds left.
_HURRY_SECONDS: Final = 1.0


class Cause(enum.Enum):
    """Why a process was ended by force."""

    TIMEOUT = "its time was over"
    HALT = "its branch was ended"
    STOP = "the run was stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What ends a call from outside. ``deadline_at`` is by the monotonic clock; ``halt`` is a branch, or the stop."""

    stop: Stop
    halt: Halt
    deadline_at: float | None
    grace_seconds: float


class Ladder:
    """Goes one rung further whenever it is due; ``cause`` and ``last_signal`` say what was done."""

    def __init__(self, channel: Channel, bounds: Bounds) -> None:
        self.is_listening = False
        self.cause: Cause | None = None
        self.last_signal: signal.Signals | None = None
        self._pid: int | None = None
        self._channel = channel
        self._bounds = bounds
        # What a stop has ended already is another step: this one may clean up.
        self._was_immediate = bounds.stop.is_immediate
        self._is_told = False
        self._kill_at = 0.0

    @property
    def is_at_end(self) -> bool:
        """Whether the last rung was taken before there was a process: the one that is to make it does not answer."""
        return self._pid is None and self.last_signal is signal.SIGKILL

    def begin(self, pid: int) -> None:
        """The process is there; what it should have got before, it gets now."""
        self._pid = pid
        if self._is_told:
            self._send_stop()
        if self.last_signal is not None:
            self._signal(self.last_signal)

    def climb(self) -> None:
        """Take the rung that is due, if one is."""
        if self.cause is None:
            self.cause = self._due()
            if self.cause is not None:
                self._terminate()
            elif self._bounds.halt.is_requested:
                self._tell()
        elif self.last_signal is signal.SIGTERM and time.monotonic() >= self._kill_at:
            self._signal(signal.SIGKILL)

    def kill(self) -> None:
        """Skip all rungs but the last."""
        self._signal(signal.SIGKILL)

    def _due(self) -> Cause | None:
        bounds = self._bounds
        if bounds.stop.is_immediate and not self._was_immediate:
            return Cause.STOP
        if bounds.halt.is_requested and not bounds.stop.is_requested:
            return Cause.HALT
        if bounds.deadline_at is not None and time.monotonic() >= bounds.deadline_at:
            return Cause.TIMEOUT
        return None

    def _terminate(self) -> None:
        # In the process the word is one rung and the signal another: a command that does not listen is ended at once.
        if not self.is_listening:
            self._tell()
        grace = _HURRY_SECONDS if self.cause is Cause.STOP else self._bounds.grace_seconds
        self._kill_at = time.monotonic() + grace
        self._signal(signal.SIGTERM)

    def _tell(self) -> None:
        if not self._is_told:
            self._is_told = True
            if self._pid is not None:
                self._send_stop()

    def _send_stop(self) -> None:
        with contextlib.suppress(OSError):
            self._channel.send(messages.Stop())

    def _signal(self, number: signal.Signals) -> None:
        self.last_signal = number
        if self._pid is None:
            return
        try:
            os.killpg(self._pid, number)
        except ProcessLookupError:
            # It was forked this moment, and has no group of its own yet.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self._pid, number)
        except PermissionError:
            # So says macOS of a group of which all have ended.
            pass
