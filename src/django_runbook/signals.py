"""Sends the events of a run as Django signals.

``run_started`` is sent with ``run_id`` and ``event`` (a RunStarted), ``step_finished`` with ``run_id``, ``result`` (a
StepResult) and ``event``, ``run_finished`` with ``run_id``, ``result`` (a RunResult) and ``event``. The sender is the
class of the event. An exception in a receiver does not stop the run; it is logged to standard error.
"""

from __future__ import annotations

from typing import IO

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

    def __call__(self, event: events.Event) -> None:
        match event:
            case events.RunStarted():
                self._run_id = event.run_id
                self._send(run_started, event)
            case events.StepFinished() if not event.result.is_past:
                self._send(step_finished, event, result=event.result)
            case events.RunFinished():
                self._send(run_finished, event, result=event.result)

    def close(self) -> None:
        """Do nothing: a signal needs no end."""

    def _send(self, signal: Signal, event: events.Event, **more: object) -> None:
        for receiver, answer in signal.send_robust(type(event), run_id=self._run_id, event=event, **more):
            if isinstance(answer, Exception):
                name = getattr(receiver, "__qualname__", type(receiver).__name__)
                kind = type(event).__name__
                said = f"signal receiver {name} failed on {kind}: {in_words(answer)}"
                self._errors.write(f"{cleaned_values(said, self._mask)}\n")
