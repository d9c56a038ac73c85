"""A lock of a runbook or a step to the right to go on, or to who has it instead."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from django_runbook import events
from django_runbook.document.expressions import ExpressionError, render_text
from django_runbook.document.runbook import LockSettings
from django_runbook.exceptions import LockHeld, LockLost, RunbookError
from django_runbook.locks.base import Holder, Lock
from django_runbook.process.deadlines import Halt, Limit
from django_runbook.process.masking import Mask
from django_runbook.process.streams import tidy_text
from django_runbook.results import AttemptResult, Failure, StepStatus
from django_runbook.runner import outcomes
from django_runbook.runner.scope import Scope
from django_runbook.runner.telling import Teller

_POLL_SECONDS = 0.2


@dataclass(slots=True)
class _Shared:
    """A lock that several calls of a runbook hold for the run, with how many they are."""

    lock: Lock
    count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Locker:
    """Takes the locks of a run, with ``new_lock`` from a name to its lock."""

    new_lock: Callable[[str], Lock]
    teller: Teller
    mask: Mask
    _shared: dict[str, _Shared] = field(default_factory=dict)
    # Branches come to their locks at the same time.
    _guard: threading.Lock = field(default_factory=threading.Lock)

    @contextlib.contextmanager
    def held(
        self, settings: LockSettings, scope: Scope, *, step_id: str
    ) -> Iterator[tuple[Scope, AttemptResult | None]]:
        """The scope under the lock, or the result of what cannot run without it."""
        try:
            # Half of a surrogate pair is text to Python, but to no file system and no database.
            text = render_text(settings.name, scope.context()).encode(errors="backslashreplace").decode()
            name = tidy_text(text, self.mask)
            if not name.strip() and not isinstance(settings.name, str):
                raise ExpressionError("the lock has an empty name", settings.name.expressions[0].span)
            # What is around the step holds it for the step too.
            lock = None if scope.holds(name) else self.new_lock(name)
            if lock is not None and settings.is_default:
                lock = _SharedLock(lock, self._shared, self._guard)
            refused = self._obtain(lock, settings, scope, step_id=step_id) if lock is not None else None
        except ExpressionError as error:
            lock, refused = (
                None,
                outcomes.failed(outcomes.of_expression(error, self.mask, is_hidden=scope.is_hidden)).result,
            )
        except RunbookError as error:
            lock, refused = None, outcomes.failed(outcomes.of_fault(error)).result
        if lock is None or refused is not None:
            yield scope, refused
            return
        try:
            yield replace(scope, locks=(*scope.locks, lock)), None
        finally:
            lock.release()

    def lost(self, locks: tuple[Lock, ...]) -> Failure | None:
        """The failure of whoever goes on without a lock that was taken from under it."""
        for lock in locks:
            if not lock.is_held():
                return outcomes.of_fault(LockLost(f'the lock "{lock.name}" got lost: {self._who_has(lock.name)}'))
        return None

    def _who_has(self, name: str) -> str:
        other = self.new_lock(name)
        try:
            holder = other.acquire()
        except RunbookError as error:
            return f"nobody can say who has it now ({error})"
        if holder is not None:
            return f"it is held by {holder} now"
        other.release()
        return "nobody else has it now, and somebody may have had it meanwhile"

    def _obtain(self, lock: Lock, settings: LockSettings, scope: Scope, *, step_id: str) -> AttemptResult | None:
        def on_wait(holder: Holder) -> None:
            self.teller.tell(events.LockAwaited, step_id=step_id, name=lock.name, holder=str(holder))

        conflict = obtain(lock, settings, halt=scope.halt, limit=scope.limit, on_wait=on_wait)
        if conflict is None:
            return None
        if scope.halt.wait(0):
            return AttemptResult(status=StepStatus.INTERRUPTED, failure=outcomes.of_fault(LockHeld(conflict)))
        if settings.on_conflict == "skip":
            return AttemptResult(status=StepStatus.SKIPPED, reason=conflict)
        return AttemptResult(status=StepStatus.FAILED, failure=outcomes.of_fault(LockHeld(conflict)))


class _SharedLock:
    """What a call of a runbook sees of the lock that the run holds for all of them."""

    def __init__(self, lock: Lock, shared: dict[str, _Shared], guard: threading.Lock) -> None:
        self.name = lock.name
        self._lock = lock
        self._shared = shared
        self._guard = guard

    def acquire(self) -> Holder | None:
        with self._guard:
            shared = self._shared.get(self.name)
            if shared is None:
                holder = self._lock.acquire()
                if holder is not None:
                    return holder
                shared = self._shared[self.name] = _Shared(self._lock)
            shared.count += 1
            return None

    def is_held(self) -> bool:
        with self._guard:
            return self._shared[self.name].lock.is_held()

    def release(self) -> None:
        with self._guard:
            shared = self._shared[self.name]
            shared.count -= 1
            if shared.count == 0:
                del self._shared[self.name]
                shared.lock.release()


def obtain(
    lock: Lock, settings: LockSettings, *, halt: Halt, limit: Limit, on_wait: Callable[[Holder], None]
) -> str | None:
    """Take the lock, as long as ``on_conflict`` waits for it; returns who has it instead, None when it was taken."""
    holder = lock.acquire()
    if holder is not None and settings.on_conflict == "wait":
        on_wait(holder)
        wait = math.inf if settings.wait_seconds is None else settings.wait_seconds
        deadline = time.monotonic() + wait
        while holder is not None:
            remaining = min(deadline - time.monotonic(), limit.remaining_seconds, _POLL_SECONDS)
            if remaining <= 0 or halt.wait(remaining):
                break
            holder = lock.acquire()
    return f'the lock "{lock.name}" is held by {holder}' if holder is not None else None
