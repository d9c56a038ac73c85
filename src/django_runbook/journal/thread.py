"""Runs the writes of a run's history in their order, in a thread whose database connections nobody else uses.

So the run goes on reading output, noticing signals and renewing locks while the database is slow or away, and commands
cannot change the session in which their history is written.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Protocol

from django.db import connections

from django_runbook.exceptions import JournalLost, RunbookError
from django_runbook.process import unpatched

Write = Callable[[], None]


class Writes(Protocol):
    """Takes writes, and does them in their order. After one has failed, the others are left out."""

    @property
    def error(self) -> RunbookError | None: ...

    def add(self, write: Write) -> None:
        """Take a write; it may be done later."""

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

    def wait(self) -> None:
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        """Nothing is left to do."""


class ThreadedWrites:
    """Does the writes in a thread of their own, which starts with the first."""

    def __init__(self) -> None:
        self.error: RunbookError | None = None
        self._queue: queue.SimpleQueue[Write | Future[None] | None] = queue.SimpleQueue()
        self._thread: unpatched.Thread | None = None
        self._guard = threading.Lock()

    def add(self, write: Write) -> None:
        with self._guard:
            if self._thread is None:
                self._thread = unpatched.start_thread(self._run, name="runbook-history")
        self._queue.put(write)

    def wait(self) -> None:
        with self._guard:
            thread = self._thread
        if thread is not None:
            done: Future[None] = Future()
            self._queue.put(done)
            done.result()
        if self.error is not None:
            raise self.error

    def close(self) -> None:
        with self._guard:
            thread, self._thread = self._thread, None
        if thread is not None:
            self._queue.put(None)
            thread.join()

    def _run(self) -> None:
        try:
            while (item := self._queue.get()) is not None:
                if isinstance(item, Future):
                    item.set_result(None)
                elif self.error is None:
                    self._do(item)
        finally:
            connections.close_all()

    def _do(self, write: Write) -> None:
        try:
            write()
        except RunbookError as error:
            self.error = error
        except Exception as error:  # noqa: BLE001 - an internal error: nothing is recorded after it
            self.error = JournalLost(f"internal error: {type(error).__name__}: {error}")
