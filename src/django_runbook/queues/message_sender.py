"""Sends the messages of calls in a thread of its own, and again if no worker has taken them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from django.db import connections

from django_runbook.exceptions import in_words
from django_runbook.handover import Handover
from django_runbook.queues.engines.base import Engine

_MAX_SECONDS: Final = 600.0
# After a failure of the broker, the message is sent again sooner than one that may only be waiting.
_RETRY_SECONDS: Final = 1.0


class MessageSender:
    """Sends ids of calls; a claim makes a second message harmless, so a message that may be lost is repeated.

    ``on_failure`` is called with the reason once for each outage of the broker.
    """

    def __init__(self, *, engine: Engine, resend_seconds: float, on_failure: Callable[[str], None]) -> None:
        self._engine = engine
        self._resend_seconds = resend_seconds
        self._on_failure = on_failure
        self._due: dict[str, tuple[float, float]] = {}
        self._messages = Handover[tuple[str, str] | None]()
        self._thread: threading.Thread | None = None
        self._is_failing = False

    def add(self, call_id: str, *, queue: str) -> None:
        """Send a message soon."""
        self._due[call_id] = time.monotonic() + self._resend_seconds, self._resend_seconds
        self._put(call_id, queue)

    def note_release(self, call_id: str) -> None:
        """Note that a worker has returned a call to its queue, and sends the message itself."""
        self._due[call_id] = time.monotonic() + self._resend_seconds, self._resend_seconds

    def note_refusal(self, call_id: str, *, pause_seconds: float) -> None:
        """Note that a worker with other code refused a call, whose message is sent again after a pause."""
        self._due[call_id] = time.monotonic() + pause_seconds, pause_seconds

    def send_again_when_due(self, call_id: str, *, queue: str) -> None:
        """Send the message of a queued call again, after a while that doubles each time."""
        at, seconds = self._due.get(call_id, (time.monotonic() + self._resend_seconds, self._resend_seconds))
        if time.monotonic() >= at:
            seconds = min(2 * seconds, max(_MAX_SECONDS, self._resend_seconds))
            at = time.monotonic() + seconds
            self._put(call_id, queue)
        self._due[call_id] = at, seconds

    def close(self) -> None:
        """End the thread; what it has not sent stays queued, and is sent by the next attempt of the run."""
        if self._thread is not None:
            self._messages.put(None)
            self._thread.join(timeout=_RETRY_SECONDS)

    def _put(self, call_id: str, name: str) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="runbook-send", daemon=True)
            self._thread.start()
        self._messages.put((call_id, name))

    def _run(self) -> None:
        try:
            self._send_all()
        finally:
            connections.close_all()

    def _send_all(self) -> None:
        while (message := self._messages.get()) is not None:
            call_id, name = message
            try:
                self._engine.send(call_id, queue=name)
                self._is_failing = False
            except Exception as error:  # noqa: BLE001 - a broker that is away raises the errors of its client
                if not self._is_failing:
                    self._on_failure(in_words(error))
                self._is_failing = True
                # An engine may keep its messages in a database, which may have restarted.
                connections.close_all()
                self._due[call_id] = time.monotonic() + _RETRY_SECONDS, _RETRY_SECONDS
