"""Ends the process of a step by escalation: a request, SIGTERM, an exception, SIGKILL."""

from __future__ import annotations

import contextlib
import enum
import os
import signal
import time
from typing import Final

from django_runbook.executors import messages
from django_runbook.executors.channel import Channel
from django_runbook.process.deadlines import Deadline, Halt, Limit
from django_runbook.process.stopping import Stop
from django_runbook.structs import Struct

# A command that checks for stops, or handles SIGTERM, has this part of the grace period before an exception ends it.
_LISTENING_PART: Final = 0.75
# A process that survives SIGKILL for this long waits for a device, and cannot be ended.
GIVE_UP_SECONDS: Final = 10.0


class Cause(enum.Enum):
    """Names the reason why a process was ended."""

    TIMEOUT = "its timeout expired"
    HALT = "its branch was ended"
    OUTPUT = "it wrote too much output"


class Bounds(Struct):
    """Holds the bounds of a call.

    ``limit`` holds the deadlines around the step; ``timeout_seconds``, of ``owner``, counts from the start of the
    command. After a timeout, a command has ``grace_seconds`` before SIGKILL.
    """

    stop: Stop
    halt: Halt
    limit: Limit
    timeout_seconds: float | None
    owner: str
    grace_seconds: float


class Escalation:
    """Takes the next measure against a process whenever it is due.

    ``cause`` is the reason, ``deadline`` the expired deadline, and ``last_signal`` the last signal sent.
    """

    def __init__(self, channel: Channel, bounds: Bounds) -> None:
        self.cause: Cause | None = None
        self.deadline: Deadline | None = None
        self.last_signal: signal.Signals | None = None
        self._pid: int | None = None
        self._keeper_pid = 0
        self._channel = channel
        self._bounds = bounds
        self._limit = bounds.limit
        self._is_listening = False
        self._is_stop_requested = False
        self._is_end_requested = self._is_forced = False
        self._end_at = self._kill_at = 0.0

    @property
    def is_at_end(self) -> bool:
        """Return whether no measure is left: there is no process, or it survives SIGKILL."""
        if self.last_signal is not signal.SIGKILL:
            return False
        return self._pid is None or time.monotonic() >= self._kill_at + GIVE_UP_SECONDS

    @property
    def halt_reason(self) -> str:
        """Return the reason why the run, or a branch of it, was halted."""
        return self._bounds.halt.reason

    @property
    def has_started(self) -> bool:
        return self._pid is not None

    def attach(self, pid: int, *, keeper_pid: int) -> None:
        """Attach the process and its keeper, and send the messages and signals that are already due."""
        self._pid, self._keeper_pid = pid, keeper_pid
        if self._is_end_requested:
            self._send(messages.EndRequest(number=self._number, is_forced=self._is_forced))
        elif self._is_stop_requested:
            self._send(messages.StopRequest(number=self._number))
        if self.last_signal is not None:
            self._signal(self.last_signal)

    def start_clock(self, *, is_listening: bool) -> None:
        """Start the timeout, because the command is about to be called."""
        self._is_listening = is_listening
        self._limit = self._bounds.limit.within(self._bounds.timeout_seconds, owner=self._bounds.owner)

    def advance(self) -> None:
        """Take the next measure, if one is due."""
        now = time.monotonic()
        if self.cause is None:
            self.cause = self._due()
            if self.cause is not None:
                self._start_ending(self.cause)
            elif self._bounds.halt.is_requested:
                self._request_stop()
            return
        if self._bounds.halt.is_immediate:
            # An immediate stop shortens the grace period of a timeout.
            self._kill_at = min(self._kill_at, now + self._bounds.halt.grace_seconds)
        if not self._is_forced and now >= self._end_at:
            self._end(is_forced=True)
        if self.last_signal is signal.SIGTERM and now >= self._kill_at:
            self.kill()

    def end_for_output(self) -> None:
        """End a command that writes more output than can be kept."""
        if self.cause is None:
            self.cause = Cause.OUTPUT
            self._start_ending(self.cause)

    def kill(self) -> None:
        """Send SIGKILL, unless it was already sent."""
        if self.last_signal is signal.SIGKILL:
            return
        self._kill_at = time.monotonic()
        self._signal(signal.SIGKILL)

    def _due(self) -> Cause | None:
        if self._bounds.halt.is_immediate:
            return Cause.HALT
        if self._limit.is_over:
            self.deadline = self._limit.first
            return Cause.TIMEOUT
        return None

    def _start_ending(self, cause: Cause) -> None:
        is_of_run = cause is Cause.HALT and self._bounds.stop.is_requested
        grace = self._bounds.halt.grace_seconds if cause is Cause.HALT else self._bounds.grace_seconds
        now = time.monotonic()
        self._kill_at = now + grace
        self._end_at = now + grace * _LISTENING_PART
        if self._is_listening and not is_of_run:
            self._request_stop()
        else:
            # A second signal to the run ends even a command that handles SIGTERM.
            self._end(is_forced=is_of_run)

    def _end(self, *, is_forced: bool) -> None:
        self._is_stop_requested = self._is_end_requested = True
        self._is_forced = is_forced
        self._send(messages.EndRequest(number=self._number, is_forced=is_forced))
        # The signal also reaches the processes that the command has started.
        if self.last_signal is None:
            self._signal(signal.SIGTERM)

    def _request_stop(self) -> None:
        if not self._is_stop_requested:
            self._is_stop_requested = True
            self._send(messages.StopRequest(number=self._number))

    @property
    def _number(self) -> int:
        return self._bounds.stop.signal_number or signal.SIGTERM

    def _send(self, message: object) -> None:
        if self._pid is not None:
            with contextlib.suppress(OSError):
                self._channel.send(message)

    def _signal(self, number: signal.Signals) -> None:
        self.last_signal = number
        if self._pid is None:
            return
        if number is signal.SIGKILL:
            # A suspended keeper would not report the end of the process.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self._keeper_pid, signal.SIGCONT)
        try:
            os.killpg(self._pid, number)
        except ProcessLookupError:
            # The process was just forked, and has no group yet.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(self._pid, number)
        except PermissionError:
            # macOS raises this if all processes of the group have ended.
            pass
