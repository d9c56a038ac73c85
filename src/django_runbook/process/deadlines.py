"""Defines the bounds of a step: the stop of the run, the end of its branch, and the deadlines of enclosing groups."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from django_runbook.results import ExitCode, Failure
from django_runbook.structs import Struct, field
from django_runbook.wording import exact_duration

_SLICE_SECONDS = 0.1


class Halt(Protocol):
    """Asks a step to end.

    ``is_requested`` asks for an end after the current item, ``is_immediate`` for an immediate end, with
    ``grace_seconds`` between SIGTERM and SIGKILL. ``reason`` explains the halt to users.
    """

    @property
    def is_requested(self) -> bool: ...

    @property
    def is_immediate(self) -> bool: ...

    @property
    def grace_seconds(self) -> float: ...

    @property
    def reason(self) -> str: ...

    def wait(self, seconds: float) -> bool:
        """Sleep; return True immediately when the end is requested."""

    def for_step(self) -> Halt:
        """Return the halt for one step inside."""


def wait_in_slices(seconds: float, *, is_requested: Callable[[], bool], rest: Callable[[float], object]) -> bool:
    """Wait for this time, in short rests; return True as soon as the end is requested."""
    deadline = time.monotonic() + seconds
    while not is_requested():
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            return False
        rest(min(remaining, _SLICE_SECONDS))
    return True


class Branch:
    """Stops one branch of a run, when it is canceled or when the enclosing run stops.

    A canceled branch ends its command immediately, with ``grace_seconds`` before SIGKILL.
    """

    def __init__(self, around: Halt, *, grace_seconds: float, part_of: Branch | None = None) -> None:
        self._around = around
        self._grace_seconds = grace_seconds
        self._event: threading.Event = threading.Event() if part_of is None else part_of._event
        self._reasons: list[str] = [] if part_of is None else part_of._reasons

    @property
    def is_canceled(self) -> bool:
        return self._event.is_set()

    @property
    def is_requested(self) -> bool:
        return self._event.is_set() or self._around.is_requested

    @property
    def is_immediate(self) -> bool:
        return self._event.is_set() or self._around.is_immediate

    @property
    def grace_seconds(self) -> float:
        return self._grace_seconds if self._event.is_set() else self._around.grace_seconds

    @property
    def reason(self) -> str:
        return self._reasons[0] if self._reasons else self._around.reason

    def wait(self, seconds: float) -> bool:
        return wait_in_slices(
            seconds, is_requested=lambda: self.is_requested or self._around.wait(0), rest=self._event.wait
        )

    def for_step(self) -> Halt:
        return Branch(self._around.for_step(), grace_seconds=self._grace_seconds, part_of=self)

    def cancel(self, reason: str) -> None:
        """Cancel this branch; the first reason is kept."""
        self._reasons.append(reason)
        self._event.set()


class RunClock:
    """Counts the seconds of a run, except those spent waiting for a process that can run steps."""

    def __init__(self) -> None:
        self._paused_seconds = 0.0
        self._waiting_count = 0
        self._waits_since = 0.0
        # Parallel branches wait at the same time.
        self._guard = threading.Lock()

    def now(self) -> float:
        with self._guard:
            at = self._waits_since if self._waiting_count else time.monotonic()
            return at - self._paused_seconds

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        """Pause the clock inside the block."""
        with self._guard:
            if not self._waiting_count:
                self._waits_since = time.monotonic()
            self._waiting_count += 1
        try:
            yield
        finally:
            with self._guard:
                self._waiting_count -= 1
                if not self._waiting_count:
                    self._paused_seconds += time.monotonic() - self._waits_since


class Deadline(Struct):
    """Holds the time at which a step or group must have ended, by the clock of the run, and its owner."""

    at: float
    seconds: float
    owner: str

    def failure(self, message: str = "") -> Failure:
        """Return the failure of a step or group that missed this deadline."""
        text = f"the timeout of {self.owner} expired ({exact_duration(self.seconds)})"
        return Failure(
            error_type="TimeoutError",
            message=f"{text}; {message}" if message else text,
            exit_code=ExitCode.TIMED_OUT,
            error_names=("TimeoutError", "builtins.TimeoutError"),
        )


class Limit(Struct):
    """Holds the deadlines of everything that encloses a step."""

    deadlines: tuple[Deadline, ...] = ()
    clock: RunClock = field(default_factory=RunClock)

    @property
    def first(self) -> Deadline | None:
        """Return the earliest deadline."""
        return min(self.deadlines, key=lambda deadline: deadline.at, default=None)

    @property
    def is_over(self) -> bool:
        return self.remaining_seconds <= 0

    @property
    def remaining_seconds(self) -> float:
        first = self.first
        return math.inf if first is None else first.at - self.clock.now()

    def within(self, seconds: float | None, *, owner: str) -> Limit:
        """Add a deadline that starts now."""
        if seconds is None:
            return self
        deadline = Deadline(at=self.clock.now() + seconds, seconds=seconds, owner=owner)
        return Limit(deadlines=(*self.deadlines, deadline), clock=self.clock)

    def without_expired(self) -> Limit:
        """Drop the expired deadlines, for the steps that clean up."""
        now = self.clock.now()
        return Limit(deadlines=tuple(deadline for deadline in self.deadlines if deadline.at > now), clock=self.clock)
