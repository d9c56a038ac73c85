"""What bounds a step from outside: a stop, the end of its branch, and the deadlines of the groups around it."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

_SLICE_SECONDS = 0.1


class Halt(Protocol):
    """Says whether to come to an end."""

    @property
    def is_requested(self) -> bool: ...

    def wait(self, seconds: float) -> bool:
        """Sleep; returns True at once when the end is asked for."""


class Unhalted:
    """What is around ``finally``: it runs to its end, also after a stop, and only the ladder ends it.

    ``is_immediate`` says that the ladder has come so far: then nothing is waited for, so that there is time for the
    steps that are left.
    """

    is_requested = False

    def __init__(self, is_immediate: Callable[[], bool]) -> None:
        self._is_immediate = is_immediate

    def wait(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not self._is_immediate():
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            time.sleep(min(remaining, _SLICE_SECONDS))
        return True


class Branch:
    """A part of a run that can be halted by itself, and is with the run. ``reason`` says why it was."""

    def __init__(self, around: Halt) -> None:
        self.reason = ""
        self._around = around
        self._event = threading.Event()

    @property
    def is_requested(self) -> bool:
        return self._event.is_set() or self._around.is_requested

    def wait(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while not (self.is_requested or self._around.wait(0)):
            remaining = deadline - time.monotonic()
            if remaining <= 0:
                return False
            self._event.wait(min(remaining, _SLICE_SECONDS))
        return True

    def cancel(self, reason: str) -> None:
        """Halt this branch; the first reason stays."""
        if not self._event.is_set():
            self.reason = reason
            self._event.set()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deadline:
    """When something must have ended, by the monotonic clock, and what said so."""

    at: float
    seconds: float
    owner: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """The deadlines of all that is around a step."""

    deadlines: tuple[Deadline, ...] = ()

    @property
    def first(self) -> Deadline | None:
        """The one that comes first."""
        return min(self.deadlines, key=lambda deadline: deadline.at, default=None)

    @property
    def is_over(self) -> bool:
        return self.remaining_seconds <= 0

    @property
    def remaining_seconds(self) -> float:
        first = self.first
        return math.inf if first is None else first.at - time.monotonic()

    def within(self, seconds: float | None, *, owner: str) -> Limit:
        """The same with one deadline more, which begins now."""
        if seconds is None:
            return self
        deadline = Deadline(at=time.monotonic() + seconds, seconds=seconds, owner=owner)
        return Limit(deadlines=(*self.deadlines, deadline))

    def without_expired(self) -> Limit:
        """What still bounds the steps that clean up: a deadline that is over has had its effect."""
        now = time.monotonic()
        return Limit(deadlines=tuple(deadline for deadline in self.deadlines if deadline.at > now))
