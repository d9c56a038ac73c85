"""Sends the events of a run as Django signals.

``run_started`` is sent with ``run_id`` and ``event`` (a RunStarted), ``step_finished`` with ``run_id``, ``result`` (a
StepResult) and ``event``, ``run_finished`` with ``run_id``, ``result`` (a RunResult) and ``event``. The sender is the
class of the event. An exception in a receiver does not stop the run; it is logged to standard error.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import IO, Any

from django.dispatch import Signal

from django_runbook import events
from django_runbook.cleaning import Mask, cleaned_values
from django_runbook.exceptions import in_words

run_started = Signal()
step_finished = Signal()
run_finished = Signal()


class SignalSender:
    """Sends the signals of one run; it receives events as reporters do."""

    def __init__(self, *, errors: IO[str], mask: Mask = str) -> None:
        self._errors = errors
        self._mask = mask
        self._run_id = ""
        # Lines of output, which are most events, are in none of the signals.
        self._methods: dict[type[events.Event], Callable[[Any], None]] = {
            events.RunStarted: self._start,
            events.StepFinished: self._finish_step,
            events.RunFinished: self._finish,
        }

    def __call__(self, event: events.Event) -> None:
        method = self._methods.get(type(event))
        if method is not None:
            method(event)

    def close(self) -> None:
        """Do nothing: a signal needs no end."""

    def _start(self, event: events.RunStarted) -> None:
        self._run_id = event.run_id
        self._send(run_started, event)

    def _finish_step(self, event: events.StepFinished) -> None:
        if not event.result.is_past:
            self._send(step_finished, event, result=event.result)

    def _finish(self, event: events.RunFinished) -> None:
        self._send(run_finished, event, result=event.result)

    def _send(self, signal: Signal, event: events.Event, **more: object) -> None:
        for receiver, answer in signal.send_robust(type(event), run_id=self._run_id, event=event, **more):
            if isinstance(answer, Exception):
                name = getattr(receiver, "__qualname__", type(receiver).__name__)
                kind = type(event).__name__
                said = f"signal receiver {name} failed on {kind}: {in_words(answer)}"
                self._errors.write(f"{cleaned_values(said, self._mask)}\n")
