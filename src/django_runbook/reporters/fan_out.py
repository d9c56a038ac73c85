"""One event to all who listen: a reporter that fails is told of once and dropped, and the run goes on."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from typing import IO

from django_runbook.events import Event, Listener
from django_runbook.exceptions import RunbookError
from django_runbook.reporters import Reporter


class FanOut:
    """Calls the critical listeners first, whose failure is the caller's and ends their listening, then reporters."""

    def __init__(self, reporters: Sequence[Reporter], *, critical: Sequence[Listener] = (), errors: IO[str]) -> None:
        self._reporters = list(reporters)
        self._critical = tuple(critical)
        self._errors = errors
        self._lock = threading.RLock()

    def __call__(self, event: Event) -> None:
        with self._lock:
            try:
                for listener in tuple(self._critical):
                    listener(event)
            except RunbookError:
                # What follows would not fit to what is missing.
                self._critical = ()
                raise
            finally:
                self.report(event)

    def report(self, event: Event) -> None:
        """Tell an event to the reporters alone, which may be called from any thread."""
        with self._lock:
            for reporter in tuple(self._reporters):
                try:
                    reporter(event)
                except Exception as error:  # noqa: BLE001 - no reporter may end a run
                    self._drop(reporter, error)
                    # It gives back its files and its hold on the terminal, as far as it can; why it failed is told.
                    with contextlib.suppress(Exception):
                        reporter.close()

    def close(self) -> None:
        """Close all reporters that are left."""
        with self._lock:
            for reporter in tuple(self._reporters):
                try:
                    reporter.close()
                except Exception as error:  # noqa: BLE001 - no reporter may end a run
                    self._drop(reporter, error)

    def _drop(self, reporter: Reporter, error: Exception) -> None:
        self._reporters.remove(reporter)
        try:
            self._errors.write(f"{type(reporter).__name__} failed and tells no more: {type(error).__name__}: {error}\n")
        except (OSError, ValueError):
            # Nobody is left to tell: standard error is gone too.
            return
