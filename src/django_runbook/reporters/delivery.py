"""Calls a reporter in a thread of its own, so that one that hangs cannot hold the run for longer than its bound."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, TypeVar

from django_runbook.cleaning import Mask
from django_runbook.events import Event, RunFinished, StepOutputWritten, StepProgress
from django_runbook.exceptions import in_words
from django_runbook.handover import Handover
from django_runbook.reporters import Reporter
from django_runbook.wording import exact_duration, number_of

_Answer = TypeVar("_Answer")
_Call = Callable[[], None]
# The events that may be left out if a reporter is slow: there is no bound on their number.
_MANY: Final = (StepOutputWritten, StepProgress)
_MAX_WAITING: Final = 10_000


class Delivery:
    """Calls functions in their order in one thread, which starts with the first call.

    ``seconds`` is the longest time for which the run waits, in all. ``warn`` writes one line about the first failure,
    always from a thread of the run; later calls are made anyway.
    """

    def __init__(self, *, title: str, seconds: float, warn: Callable[[str], None], mask: Mask = str) -> None:
        self._title = title
        self._seconds = seconds
        self._left_seconds = seconds
        self._warn = warn
        self._mask = mask
        self._calls = Handover[_Call | None]()
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._is_reported = False
        self._is_abandoned = False
        self._left_out_count = 0
        self._ends_at: float | None = None

    def call(self, function: _Call, *, is_optional: bool = False) -> None:
        """Call a function soon; one that is optional may be left out."""
        self._report_error()
        if self._is_abandoned or self._ends_at is not None:
            return
        if is_optional and self._calls.count() >= _MAX_WAITING:
            self._left_out_count += 1
            return
        if self._start():
            self._calls.put(function)

    def ask(self, question: Callable[[], _Answer], *, default: _Answer) -> _Answer:
        """Return the answer of a function after all calls so far; the default if it takes too long or fails."""
        found: list[_Answer] = []
        is_answered = threading.Event()

        def answer() -> None:
            try:
                found.append(question())
            finally:
                is_answered.set()

        self.call(answer)
        if self._thread is None or self._is_abandoned:
            return default
        began_at = time.monotonic()
        is_answered.wait(self._left_seconds)
        self._left_seconds = max(0.0, self._left_seconds - (time.monotonic() - began_at))
        return found[0] if found else default

    def finish(self, last: _Call) -> None:
        """Make the last call, for which the bound counts from now on."""
        if self._ends_at is None:
            self.call(last)
            self._ends_at = time.monotonic() + self._left_seconds
            self._calls.put(None)

    def wait(self) -> None:
        """Wait for the last call, and report what went wrong."""
        if self._thread is not None and self._ends_at is not None:
            self._thread.join(max(0.0, self._ends_at - time.monotonic()))
            if self._thread.is_alive():
                self._abandon()
        self._report_error()
        if self._left_out_count:
            self._report(f"was too slow: {number_of(self._left_out_count, 'event')} left out")

    def _start(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._run, name="runbook-reporter", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                # The machine has no more threads.
                self._error, self._is_abandoned = error, True
                self._report_error()
                return False
            self._thread = thread
        return True

    def _run(self) -> None:
        while not self._is_abandoned and (function := self._calls.get()) is not None:
            try:
                function()
            except BaseException as error:  # noqa: BLE001 - no reporter may stop a run, not even by SystemExit
                self._error = self._error or error

    def _abandon(self) -> None:
        self._is_abandoned = True
        self._report_error()
        self._report(f"did not finish within {exact_duration(self._seconds)}, and was abandoned")

    def _report_error(self) -> None:
        if self._error is not None:
            self._report(f"failed: {in_words(self._error)}")

    def _report(self, text: str) -> None:
        if not self._is_reported:
            self._is_reported = True
            self._warn(self._mask(f"{self._title} {text}"))


class DeliveredReporter:
    """Passes each event to a reporter through a `Delivery`.

    A reporter may leave out events with ``ignored_events``, a tuple of their classes, and may have a method
    `environ_of`, which returns environment variables for the process of a step.
    """

    def __init__(self, reporter: Reporter, delivery: Delivery) -> None:
        self._reporter = reporter
        self._delivery = delivery
        self._ignored: tuple[type[Event], ...] = tuple(getattr(reporter, "ignored_events", ()))

    def __call__(self, event: Event) -> None:
        if isinstance(event, self._ignored):
            return
        self._delivery.call(lambda: self._reporter(event), is_optional=isinstance(event, _MANY))
        if isinstance(event, RunFinished):
            self._delivery.finish(self._reporter.close)

    def close(self) -> None:
        self._delivery.finish(self._reporter.close)
        self._delivery.wait()

    def environ_of(self, step_id: str) -> dict[str, str]:
        """Return the environment variables that the reporter sets for the process of a step."""
        find = getattr(self._reporter, "environ_of", None)
        return {} if find is None else self._delivery.ask(lambda: dict(find(step_id)), default={})
