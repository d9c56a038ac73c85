"""What a person at the terminal is asked before a step, and what the answer means."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from typing import Final

from django_runbook import events
from django_runbook.document.expressions import ExpressionError, Template, as_written
from django_runbook.document.runbook import CommandStep, Step
from django_runbook.runner.masking import Mask
from django_runbook.runner.output import tidy_text
from django_runbook.runner.stopping import Stop
from django_runbook.runner.telling import Teller

# A text to the answer, in lower case; an answer that is not understood is asked for again.
Ask = Callable[[str], str]
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


class Questions:
    """Puts one question after the other; ``ask`` is None where nobody is there to answer."""

    def __init__(self, ask: Ask | None, *, teller: Teller, stop: Stop, mask: Mask) -> None:
        self._ask = ask
        self._teller = teller
        self._stop = stop
        self._mask = mask
        self._is_asking_before_steps = True
        # Branches come to their questions at the same time.
        self._lock = threading.Lock()

    def confirm(self, step: Step, text: str, *, step_id: str, name: str) -> str:
        """Ask what ``confirm`` says; returns the reason to skip the step, empty where it is to run."""
        if self._ask is None:
            raise ExpressionError(f'"{text}" needs an answer; run it at a terminal, or give --yes', step.span)
        answer = self._put(f"{name}: {text} [y/N]", text, step_id=step_id)
        return "" if answer in {"y", "yes"} else "not confirmed"

    def before_step(self, step: CommandStep, *, step_id: str, name: str) -> str:
        """Ask whether to run a step, with ``--step``; returns the reason to skip it, empty where it is to run."""
        if self._ask is None or not self._is_asking_before_steps or self._stop.is_requested:
            return ""
        words = " ".join(as_written(token.value) for token in step.command if isinstance(token.value, str | Template))
        title = words if name == step.command[0].value else f"{name} ({words})"
        question = f"Run {title}? [y]es, [N]o, [c]ontinue without asking, [q]uit:"
        while (answer := _STEP_ANSWERS.get(self._put(question, question, step_id=step_id))) is None:
            if self._stop.is_requested:
                return "the run was stopped"
        match answer:
            case "continue":
                self._is_asking_before_steps = False
            case "no":
                return "not wanted"
            case "quit":
                self._stop.request(signal.SIGINT)
                return "the run was stopped"
        return ""

    def _put(self, question: str, text: str, *, step_id: str) -> str:
        assert self._ask is not None
        with self._lock:
            self._teller.tell(events.ConfirmationRequested, step_id=step_id, text=tidy_text(text, self._mask))
            return self._ask(tidy_text(question, self._mask))
