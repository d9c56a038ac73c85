"""Executes the writes of the journal in their order, in a thread with its own database connections.

The run keeps reading output, receiving signals and renewing locks while the database is slow or unavailable, and
commands cannot change the session in which their history is written.
"""

from __future__ import annotations

import contextlib
import functools
import heapq
import itertools
import queue
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final, Protocol

from django.db import connections

from django_runbook.exceptions import JournalLost, RunbookError
from django_runbook.handover import Handover
from django_runbook.structs import Struct

Write = Callable[[], None]
_SLICE_SECONDS: Final = 0.5
# How long the end of a step waits for the start of the next one, with which it shares a transaction.
_NEIGHBOUR_SECONDS: Final = 0.02
# The rows of a transaction.
_MAX_NEIGHBOURS: Final = 500


class _RowWrite(Struct):
    """Marks a write that shares a transaction with its neighbours."""

    write: Write


# None ends the thread; a future is done when everything before it is.
_Item = Write | _RowWrite | Future[None] | None


class Writes(Protocol):
    """Executes writes in their order; after a failed write, all later writes are discarded."""

    @property
    def error(self) -> RunbookError | None: ...

    def add(self, write: Write) -> None:
        """Add a write, which may be executed later."""

    def add_row(self, write: Write) -> None:
        """Add a write of rows, which may share a transaction with the next one; `wait` stores it at once."""

    def add_later(self, write: Write, *, seconds: float) -> bool:
        """Add a write to execute after a time; return whether it will be, unless the run ends before."""

    def wait(self) -> None:
        """Wait until all writes so far are executed; raise the RunbookError of the first failed write."""

    def close(self) -> None:
        """Execute the remaining writes, and end."""


class ImmediateWrites:
    """Executes each write at once in this thread, because no other connection sees its open transaction."""

    def __init__(self) -> None:
        self.error: RunbookError | None = None

    def add(self, write: Write) -> None:
        if self.error is not None:
            return
        try:
            write()
        except RunbookError as error:
            self.error = error

    def add_row(self, write: Write) -> None:
        self.add(write)

    def add_later(self, write: Write, *, seconds: float) -> bool:
        if seconds <= 0:
            self.add(write)
        return False

    def wait(self) -> None:
        if self.error is not None:
            raise self.error

    def close(self) -> None: ...


class ThreadedWrites:
    """Executes the writes in a thread, which starts with the first write.

    ``execute_together`` executes several writes of rows in one transaction. ``patience_seconds`` is the longest wait
    for a database that does not answer.
    """

    def __init__(self, *, execute_together: Callable[[Sequence[Write]], None], patience_seconds: float) -> None:
        self.error: RunbookError | None = None
        self._execute_together = execute_together
        self._patience_seconds = patience_seconds
        self._queue = Handover[_Item]()
        # An item that was taken from the queue and is not a neighbour of the rows before it.
        self._taken: list[_Item] = []
        # Ordered by their times.
        self._later: list[tuple[float, int, Write]] = []
        self._later_count = itertools.count()
        self._began_at: float | None = None
        self._ended: Future[None] | None = None
        self._guard = threading.Lock()

    def add(self, write: Write) -> None:
        self._put(write)

    def add_row(self, write: Write) -> None:
        self._put(_RowWrite(write=write))

    def _put(self, item: _Item) -> None:
        with self._guard:
            if self._ended is None:
                self._ended = Future()
                threading.Thread(target=self._run, name="runbook-history", daemon=True).start()
        self._queue.put(item)

    def add_later(self, write: Write, *, seconds: float) -> bool:
        with self._guard:
            heapq.heappush(self._later, (time.monotonic() + seconds, next(self._later_count), write))
        # Wakes the thread, which may be waiting for the next write without a timeout.
        self.add(_do_nothing)
        return True

    def wait(self) -> None:
        if self._ended is not None and self.error is None:
            done: Future[None] = Future()
            self._queue.put(done)
            while not self._is_over(done) and self.error is None:
                began_at = self._began_at
                if began_at is not None and time.monotonic() - began_at > self._patience_seconds:
                    self.error = JournalLost(f"the database did not answer for {self._patience_seconds:.0f} s")
        if self.error is not None:
            raise self.error

    def note_answer(self) -> None:
        """Note that the database has answered, even with an error."""
        self._began_at = time.monotonic()

    def close(self) -> None:
        ended = self._ended
        if ended is not None:
            self._queue.put(None)
            # A thread that hangs in the driver is abandoned.
            while not self._is_over(ended) and not isinstance(self.error, JournalLost):
                pass

    def _is_over(self, future: Future[None]) -> bool:
        try:
            future.result(_SLICE_SECONDS)
        except TimeoutError:
            return False
        return True

    def _run(self) -> None:
        assert self._ended is not None
        try:
            while (item := self._next()) is not None:
                match item:
                    case Future():
                        item.set_result(None)
                    case _RowWrite():
                        self._execute(functools.partial(self._execute_together, self._with_neighbours(item)))
                    case _:
                        self._execute(item)
        finally:
            connections.close_all()
            self._ended.set_result(None)

    def _with_neighbours(self, first: _RowWrite) -> list[Write]:
        """Return the write and those that follow within a moment; anything else that follows ends the wait."""
        found, until = [first.write], time.monotonic() + _NEIGHBOUR_SECONDS
        while len(found) < _MAX_NEIGHBOURS:
            try:
                item = self._queue.get(until - time.monotonic())
            except queue.Empty:
                break
            if not isinstance(item, _RowWrite):
                self._taken.append(item)
                break
            found.append(item.write)
        return found

    def _next(self) -> _Item:
        if self._taken:
            return self._taken.pop()
        while self._later:
            seconds = self._later[0][0] - time.monotonic()
            if seconds <= 0:
                with self._guard:
                    return heapq.heappop(self._later)[2]
            with contextlib.suppress(queue.Empty):
                return self._queue.get(seconds)
        return self._queue.get()

    def _execute(self, write: Write) -> None:
        if self.error is not None:
            return
        self._began_at = time.monotonic()
        try:
            write()
        except RunbookError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - an internal error: nothing is recorded after it
            self.error = JournalLost(f"internal error: {type(error).__name__}: {error}")
        finally:
            self._began_at = None


def _do_nothing() -> None:
    pass
