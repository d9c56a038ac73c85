"""Asks the person at the terminal before a step, and interprets the answer."""

from __future__ import annotations

import select
import signal
import threading
from typing import IO, Final, Protocol

from django_runbook import events
from django_runbook.cleaning import MASK, Mask, encodable
from django_runbook.document.expressions import ExpressionError, Template, as_written
from django_runbook.document.runbook import CommandStep, Step
from django_runbook.process.deadlines import Halt
from django_runbook.process.stop_requests import STOPPED
from django_runbook.process.stopping import Stop
from django_runbook.process.streams import clean_text
from django_runbook.runner.emitter import Emitter

_CHECK_SECONDS: Final = 0.1
_STEP_ANSWERS: Final = {
    "": "no",
    "y": "yes",
    "yes": "yes",
    "n": "no",
    "no": "no",
    "c": "continue",
    "continue": "continue",
    "q": "quit",
    "quit": "quit",
}


class ConfirmationError(ExpressionError):
    """Fails a step that asks for a confirmation if there is nobody to ask."""


class Ask(Protocol):
    """Asks a question and returns the answer in lower case; None if the terminal is gone or ``halt`` comes first."""

    def __call__(self, text: str, halt: Halt | None = None) -> str | None: ...


def at_terminal(answers: IO[str] | None, stream: IO[str] | None) -> Ask | None:
    """Return what asks on ``stream`` and reads from ``answers``; None unless both are there, at a terminal."""
    if answers is None or stream is None or not answers.isatty():
        return None

    def ask(text: str, halt: Halt | None = None) -> str | None:
        try:
            stream.write(encodable(f"{text} ", stream))
            stream.flush()
            while halt is not None and not select.select([answers], [], [], _CHECK_SECONDS)[0]:
                if halt.wait(0):
                    stream.write("\n")
                    return None
            line = answers.readline()
            if not stream.isatty():
                # The line break that the person typed is on the terminal only.
                stream.write("\n")
        except (OSError, ValueError):
            # The terminal is gone, or its descriptor is too large for select().
            return None
        return line.strip().lower() if line else None

    return ask


class Questions:
    """Asks one question after the other; ``ask`` is None if there is nobody to answer."""

    def __init__(self, ask: Ask | None, *, emitter: Emitter, stop: Stop, mask: Mask) -> None:
        self._ask = ask
        self._emitter = emitter
        self._stop = stop
        self._mask = mask
        self._is_asking_before_steps = True
        # Branches ask at the same time.
        self._lock = threading.Lock()

    def confirm(self, step: Step, text: str, *, step_id: str, name: str, halt: Halt) -> str:
        """Ask the question of ``confirm``; return the reason to skip the step, empty if it is to run."""
        answer = self._put(f"{name}: {text} [y/N]", text, step_id=step_id, halt=halt)
        if answer is None and halt.wait(0):
            return STOPPED
        if answer is None:
            raise ConfirmationError(f'"{text}" needs an answer: run in a terminal, or pass --yes', step.span)
        return "" if answer in {"y", "yes"} else "not confirmed"

    def before_step(self, step: CommandStep, *, step_id: str, name: str, is_hidden: bool) -> str:
        """Ask whether to run a step, with ``--step``; return the reason to skip it, empty if it is to run.

        Steps that still run after a stop, such as those of ``finally``, run without a question.
        """
        if self._ask is None or not self._is_asking_before_steps or self._stop.is_requested:
            return ""
        words = " ".join(as_written(token.value) for token in step.command if isinstance(token.value, str | Template))
        if is_hidden:
            words = f"{step.command[0].value} {MASK}"
        title = words if name == step.command[0].value else f"{name} ({words})"
        question = f"Run {title}? [y]es, [N]o, [c]ontinue without asking, [q]uit:"
        meaning = None
        while meaning is None:
            answer = self._put(question, question, step_id=step_id, halt=self._stop)
            if answer is None:
                # There is nobody to ask before the next step.
                self._stop.request(signal.SIGHUP)
                return ""
            meaning = _STEP_ANSWERS.get(answer)
        match meaning:
            case "continue":
                self._is_asking_before_steps = False
            case "no":
                return "not wanted"
            case "quit":
                self._stop.request(signal.SIGINT)
                return STOPPED
        return ""

    def _put(self, question: str, text: str, *, step_id: str, halt: Halt) -> str | None:
        with self._lock:
            if self._ask is None or halt.wait(0):
                return None
            self._emitter.emit(events.ConfirmationRequested, step_id=step_id, text=clean_text(text, self._mask))
            try:
                return self._ask(clean_text(question, self._mask), halt)
            finally:
                self._emitter.emit(events.ConfirmationEnded, step_id=step_id)
