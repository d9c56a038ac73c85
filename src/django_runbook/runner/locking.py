"""Acquires the locks of runbooks and steps, or reports who holds them."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Callable, Iterator

from django_runbook import events
from django_runbook.cleaning import Mask
from django_runbook.document.expressions import ExpressionError, render_text
from django_runbook.document.runbook import LockSettings
from django_runbook.exceptions import LockHeld, LockLost, RunbookError
from django_runbook.locks import held as held_locks
from django_runbook.locks.base import Holder, Lock, LockState
from django_runbook.locks.held import HeldLock
from django_runbook.locks.waiting import LockWait
from django_runbook.locks.watching import settle
from django_runbook.process.deadlines import Halt, wait_in_slices
from django_runbook.process.streams import clean_text
from django_runbook.results import AttemptResult, Failure, StepStatus
from django_runbook.runner import outcomes
from django_runbook.runner.emitter import Emitter
from django_runbook.runner.finishing import StepFinisher
from django_runbook.runner.step_scope import Scope
from django_runbook.structs import Struct, field, replace

_POLL_SECONDS = 0.2


class UnderLocks:
    """Stops a step when its lock is lost, in addition to the other reasons to stop it."""

    def __init__(self, around: Halt, locks: tuple[HeldLock, ...], *, grace_seconds: float) -> None:
        self._around = around
        self._locks = locks
        self._grace_seconds = grace_seconds

    @property
    def is_lost(self) -> bool:
        return any(held.is_lost for held in self._locks)

    @property
    def is_requested(self) -> bool:
        return self.is_lost or self._around.is_requested

    @property
    def is_immediate(self) -> bool:
        return self.is_lost or self._around.is_immediate

    @property
    def grace_seconds(self) -> float:
        return self._grace_seconds if self.is_lost else self._around.grace_seconds

    @property
    def reason(self) -> str:
        return self._around.reason

    def wait(self, seconds: float) -> bool:
        return wait_in_slices(seconds, is_requested=lambda: self.is_requested, rest=self._around.wait)

    def for_step(self) -> Halt:
        return self


class Locker(Struct):
    """Acquires and watches the locks of a run; ``new_lock`` makes the lock of a name.

    ``namespace`` keeps the marks of this project apart from those of others. ``find_call`` returns the worker that runs
    a call of a dead run under a lock. A dry run acquires no locks.
    """

    new_lock: Callable[[str], Lock]
    finisher: StepFinisher
    is_dry_run: bool = False
    emitter: Emitter
    mask: Mask
    namespace: str = ""
    find_call: Callable[[str], Holder | None] = lambda name: None
    # Those that several calls of a runbook share, and whose turn it is to acquire them.
    _shared: dict[str, HeldLock] = field(default_factory=dict)
    _turns: dict[str, threading.Lock] = field(default_factory=dict)
    # Branches acquire their locks at the same time.
    _guard: threading.Lock = field(default_factory=threading.Lock)

    def held(
        self, settings: LockSettings | None, scope: Scope, *, step_id: str
    ) -> contextlib.AbstractContextManager[tuple[Scope, AttemptResult | None]]:
        """Return a context that gives the scope under the lock, or the result of a step whose lock was refused."""
        if settings is None or self.is_dry_run:
            return contextlib.nullcontext((scope, None))
        started = self.finisher.past_in(scope).started
        if settings.on_conflict == "skip" and (step_id in started or (started and not step_id)):
            # To skip the rest of what an earlier attempt began would turn its failure into a success.
            settings = replace(settings, on_conflict="fail")
        return self._held(settings, scope, step_id=step_id)

    @contextlib.contextmanager
    def _held(
        self, settings: LockSettings, scope: Scope, *, step_id: str
    ) -> Iterator[tuple[Scope, AttemptResult | None]]:
        held: HeldLock | None = None
        refused: AttemptResult | None = None
        try:
            # Half of a surrogate pair is text to Python, but to no file system and no database.
            text = render_text(settings.name, scope.context()).encode(errors="backslashreplace").decode()
            name = clean_text(text, self.mask)
            if not name.strip() and not isinstance(settings.name, str):
                raise ExpressionError("the lock has an empty name", settings.name.expressions[0].span)
            # A group around the step holds it for the step too.
            if not scope.holds(name):
                held, refused = self._hold(name, settings, scope, step_id=step_id)
        except ExpressionError as error:
            refused = outcomes.failed(outcomes.of_expression(error, self.mask, is_hidden=scope.is_hidden)).result
        except RunbookError as error:
            refused = outcomes.failed(outcomes.of_error(error)).result
        if held is None:
            yield scope, refused
            return
        try:
            yield replace(scope, locks=(*scope.locks, held)), None
        finally:
            self._release(held)

    def lost(self, locks: tuple[HeldLock, ...], *, halt: Halt) -> Failure | None:
        """Return the failure of a step that has lost its lock; wait until it is known whether the lock is held again.

        A stop ends the waiting, and with it the run.
        """
        for held in locks:
            state = LockState.LOST if held.is_lost else self._settle(held, halt)
            match state:
                case LockState.RETAKEN:
                    self.emitter.emit(events.LockRetaken, name=held.name)
                case LockState.LOST:
                    return outcomes.of_error(LockLost(f'the lock "{held.name}" was lost: {self._who_has(held.name)}'))
        return None

    def _settle(self, held: HeldLock, halt: Halt) -> LockState:
        def on_wait() -> None:
            reason = f'the store of the lock "{held.name}" cannot be reached'
            self.emitter.emit(events.LockAwaited, step_id="", name=held.name, holder="", reason=reason)

        return settle(held.lock, is_stopping=lambda: halt.is_requested, on_wait=on_wait)

    def _hold(
        self, name: str, settings: LockSettings, scope: Scope, *, step_id: str
    ) -> tuple[HeldLock | None, AttemptResult | None]:
        if not settings.is_default:
            return self._acquire(name, settings, scope, step_id=step_id)
        with self._guard:
            turn = self._turns.setdefault(name, threading.Lock())
        while not turn.acquire(timeout=_POLL_SECONDS):
            if scope.halt.is_requested:
                return None, AttemptResult(status=StepStatus.NOT_RUN, reason=scope.halt.reason)
        try:
            with self._guard:
                shared = self._shared.get(name)
                if shared is not None:
                    shared.count += 1
                    return shared, None
            held, refused = self._acquire(name, settings, scope, step_id=step_id)
            if held is not None:
                with self._guard:
                    self._shared[name] = held
            return held, refused
        finally:
            turn.release()

    def _acquire(
        self, name: str, settings: LockSettings, scope: Scope, *, step_id: str
    ) -> tuple[HeldLock | None, AttemptResult | None]:
        lock = self.new_lock(name)
        refused = self._obtain(lock, settings, scope, step_id=step_id)
        if refused is not None:
            return None, refused
        return self._keep(lock, scope, step_id=step_id), None

    def _keep(self, lock: Lock, scope: Scope, *, step_id: str) -> HeldLock:
        def on_wait(holder: str) -> None:
            self.emitter.emit(events.LockAwaited, step_id=step_id, name=lock.name, holder=holder, reason="")

        return held_locks.hold(
            lock,
            namespace=self.namespace,
            on_retaken=lambda: self.emitter.emit(events.LockRetaken, name=lock.name),
            is_stopping=lambda: scope.halt.is_requested,
            on_wait=on_wait,
        )

    def _release(self, held: HeldLock) -> None:
        with self._guard:
            held.count -= 1
            if held.count:
                return
            if self._shared.get(held.name) is held:
                del self._shared[held.name]
        held.close()

    def _who_has(self, name: str) -> str:
        try:
            other = self.new_lock(name)
            holder = other.acquire()
        except RunbookError as error:
            return f"its holder is unknown ({error})"
        if holder is not None:
            return f"it is held by {holder} now"
        other.release()
        return "it is free now, but another process may have held it in between"

    def _obtain(self, lock: Lock, settings: LockSettings, scope: Scope, *, step_id: str) -> AttemptResult | None:
        def on_wait(holder: Holder | None, reason: str) -> None:
            who = "" if holder is None else str(holder)
            why = clean_text(reason, self.mask)
            self.emitter.emit(events.LockAwaited, step_id=step_id, name=lock.name, holder=who, reason=why)

        wait = math.inf if settings.wait_seconds is None else settings.wait_seconds
        waiting = LockWait(
            lock,
            wait_seconds=wait if settings.on_conflict == "wait" else 0.0,
            rest=scope.halt.wait,
            remaining_seconds=lambda: scope.limit.remaining_seconds,
            on_wait=on_wait,
            find_other=lambda: self.find_call(lock.name),
            # Before the run has begun, nothing is lost by an end at once.
            is_patient=bool(step_id),
        )
        conflict = waiting.acquire()
        if conflict is None:
            return None
        if waiting.was_stopped:
            return AttemptResult(status=StepStatus.NOT_RUN, reason=f"{scope.halt.reason}; {conflict}")
        if settings.on_conflict == "skip":
            return AttemptResult(status=StepStatus.SKIPPED, reason=conflict)
        return AttemptResult(status=StepStatus.FAILED, failure=outcomes.of_error(LockHeld(conflict)))
