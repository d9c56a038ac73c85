"""Runs the writes of a run's history in their order, in a thread whose database connections nobody else uses.

So the run goes on reading output, noticing signals and renewing locks while the database is slow or away, and commands
cannot change the session in which their history is written.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Final, Protocol

from django.db import connections

from django_runbook.exceptions import JournalLost, RunbookError

Write = Callable[[], None]
_SLICE_SECONDS: Final = 0.5


class Writes(Protocol):
    """Takes writes, and does them in their order. After one has failed, the others are left out."""

    @property
    def error(self) -> RunbookError | None: ...

    def add(self, write: Write) -> None:
        """Take a write; it may be done later."""

    def add_later(self, write: Write, *, seconds: float) -> bool:
        """Take a write that may be left out; return whether it is done later. There is one at a time."""

    def wait(self) -> None:
        """Wait until all writes so far are done; raise the RunbookError of the first that failed."""

    def close(self) -> None:
        """Do what is left, and end."""


class ImmediateWrites:
    """Does each write at once in this thread: inside a transaction, there is no other connection that sees it."""

    def __init__(self) -> None:
        self.error: RunbookError | None = None

    def add(self, write: Write) -> None:
        if self.error is not None:
            return
        try:
            write()
        except RunbookError as error:
            self.error = error

    def add_later(self, write: Write, *, seconds: float) -> bool:
        if seconds <= 0:
            self.add(write)
        return False

    def wait(self) -> None:
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """Nothing is left to do."""


class ThreadedWrites:
    """Does the writes in a thread of their own, which starts with the first.

    ``patience_seconds`` is the time after which a database that gives no answer at all is given up.
    """

    def __init__(self, *, patience_seconds: float) -> None:
        self.error: RunbookError | None = None
        self._patience_seconds = patience_seconds
        self._queue: queue.SimpleQueue[Write | Future[None] | None] = queue.SimpleQueue()
        self._later: tuple[float, Write] | None = None
        self._began_at: float | None = None
        self._ended: Future[None] | None = None
        self._guard = threading.Lock()

    def add(self, write: Write) -> None:
        with self._guard:
            if self._ended is None:
                self._ended = Future()
                threading.Thread(target=self._run, name="runbook-history", daemon=True).start()
        self._queue.put(write)

    def add_later(self, write: Write, *, seconds: float) -> bool:
        self._later = time.monotonic() + seconds, write
        # The thread may wait for the next write without a limit.
        self.add(_do_nothing)
        return True

    def wait(self) -> None:
        if self._ended is not None and self.error is None:
            done: Future[None] = Future()
            self._queue.put(done)
            while not self._is_over(done) and self.error is None:
                began_at = self._began_at
                if began_at is not None and time.monotonic() - began_at > self._patience_seconds:
                    self.error = JournalLost(f"the database gave no answer for {self._patience_seconds:.0f} s")
        if self.error is not None:
            raise self.error

    def note_answer(self) -> None:
        """Take note that the database has answered, even if it refused."""
        self._began_at = time.monotonic()

    def close(self) -> None:
        ended = self._ended
        if ended is not None:
            self._queue.put(None)
            # A thread that hangs in the driver is left behind.
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
                if isinstance(item, Future):
                    item.set_result(None)
                elif self.error is None:
                    self._do(item)
        finally:
            connections.close_all()
            self._ended.set_result(None)

    def _next(self) -> Write | Future[None] | None:
        while (later := self._later) is not None:
            seconds = later[0] - time.monotonic()
            if seconds <= 0:
                self._later = None
                return later[1]
            with contextlib.suppress(queue.Empty):
                return self._queue.get(timeout=seconds)
        return self._queue.get()

    def _do(self, write: Write) -> None:
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
