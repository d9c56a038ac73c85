"""Dispatches events to critical listeners, then to reporters; one that fails is reported once and dropped.

Each event is masked and cleaned first: no listener receives a secret or a control character.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Mapping, Sequence
from typing import IO

from django_runbook.cleaning import Mask, cleaned_fields, cleaned_values
from django_runbook.events import Event, Listener, RunFinished
from django_runbook.exceptions import RunbookError, in_words
from django_runbook.reporters import Reporter


class FanOut:
    """Calls the critical listeners first, then the reporters.

    A RunbookError of a critical listener is raised to the caller, and no critical listener is called again. ``files``
    are the reporters that write a file, by their option; if one fails, the run gets a warning. ``mask`` hides secrets.
    """

    def __init__(
        self,
        reporters: Sequence[Reporter],
        *,
        files: Mapping[str, Reporter] | None = None,
        critical: Sequence[Listener] = (),
        errors: IO[str],
        mask: Mask = str,
    ) -> None:
        self._mask = mask
        self._files = dict(files or {})
        self._reporters = [*reporters, *self._files.values()]
        self._names = {id(reporter): name for name, reporter in self._files.items()}
        self._warnings: list[str] = []
        self._critical = tuple(critical)
        self._errors = errors
        self._is_over = False
        self._lock = threading.RLock()

    def __call__(self, event: Event) -> None:
        event = cleaned_fields(event, self._mask)
        with self._lock:
            try:
                self._store(event)
            except RunbookError:
                # Later events would be inconsistent without this one.
                self._critical = ()
                raise
            finally:
                self._report(event)

    def _store(self, event: Event) -> None:
        for listener in tuple(self._critical):
            listener(event)

    def report_in_run(self, event: Event) -> None:
        """Report an event from outside the steps, unless the run has ended: its summary comes last."""
        with self._lock:
            if not self._is_over:
                self.report(event)

    def report(self, event: Event) -> None:
        """Pass an event to the reporters only; may be called from any thread."""
        event = cleaned_fields(event, self._mask)
        with self._lock:
            self._report(event)

    def _report(self, event: Event) -> None:
        self._is_over = self._is_over or isinstance(event, RunFinished)
        for reporter in tuple(self._reporters):
            self._call(reporter, event)

    def write_files(self, event: RunFinished) -> tuple[str, ...]:
        """Write the files before the end of the run is reported, and return a warning for each failure."""
        event = cleaned_fields(event, self._mask)
        with self._lock:
            for reporter in self._files.values():
                if reporter in self._reporters:
                    self._call(reporter, event)
                if reporter in self._reporters:
                    self._close(reporter)
            return tuple(self._warnings)

    def close(self) -> None:
        """Close the remaining reporters."""
        with self._lock:
            for reporter in tuple(self._reporters):
                self._close(reporter)

    def _call(self, reporter: Reporter, event: Event) -> None:
        try:
            reporter(event)
        except Exception as error:  # noqa: BLE001 - no reporter may stop a run
            self._drop(reporter, error)
            # Closing releases its files and the terminal; the cause of the failure is reported already.
            with contextlib.suppress(Exception):
                reporter.close()

    def _close(self, reporter: Reporter) -> None:
        try:
            reporter.close()
        except Exception as error:  # noqa: BLE001 - no reporter may stop a run
            self._drop(reporter, error)
        else:
            self._reporters.remove(reporter)

    def _drop(self, reporter: Reporter, error: Exception) -> None:
        self._reporters.remove(reporter)
        what = cleaned_values(in_words(error), self._mask)
        if name := self._names.get(id(reporter)):
            self._warnings.append(f"{name} could not be written: {what}")
            return
        try:
            self._errors.write(f"{type(reporter).__name__} failed and was disabled: {what}\n")
        except (OSError, ValueError):
            # Standard error is closed too.
            return
