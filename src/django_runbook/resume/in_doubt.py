"""Resolves steps in doubt: interrupted commands with an unknown outcome."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

from django_runbook import wording
from django_runbook.document.outline import Entry, key_of
from django_runbook.document.runbook import CommandStep
from django_runbook.exceptions import InvalidUsage
from django_runbook.journal.opening import MARKED_AS_DONE
from django_runbook.models import StepRun
from django_runbook.results import StepStatus
from django_runbook.resume.choices import ResumeChoices
from django_runbook.resume.repeatable import RepeatableCommands
from django_runbook.resume.rows import is_done, was_interrupted
from django_runbook.structs import Struct, field

# Asks a question at the terminal and returns the answer.
AskText = Callable[[str], str]
_RERUN, _SKIP, _STOP = ("r", "rerun"), ("s", "skip"), ("", "n", "no")


class Resolution(Struct):
    """Holds the ids of the steps that are done, and the keys of the rows that ``--skip`` marks as done."""

    done: list[str] = field(default_factory=list)
    skipped_pks: list[int] = field(default_factory=list)

    def skip(self, row: StepRun) -> None:
        """Mark a step as done."""
        row.status, row.reason = StepStatus.SKIPPED.value, MARKED_AS_DONE
        self.done.append(row.step_id)
        self.skipped_pks.append(row.pk)


class InDoubtResolver(Struct):
    """Decides for each step whether it is done; a step in doubt needs a choice, or an answer at the terminal.

    ``ask`` is None without a terminal. ``known`` are the ids of steps whose calls on workers tell their outcome.
    """

    outline: Mapping[str, Entry]
    choices: ResumeChoices
    ask: AskText | None
    repeatable: RepeatableCommands
    known: Collection[str] = ()

    def resolve(self, steps: Mapping[str, StepRun], *, reopened: Collection[str]) -> Resolution:
        """Resolve the latest rows of all steps; raises InvalidUsage if one stays in doubt.

        Groups in ``reopened`` are entered again, because a step inside them runs again.
        """
        resolution = Resolution()
        in_doubt: list[str] = []
        closed = {step_id for step_id, row in steps.items() if is_done(row) and step_id not in reopened}
        for step_id, row in steps.items():
            if is_done(row):
                resolution.done.append(step_id)
            elif self.choices.is_skipped(row):
                resolution.skip(row)
            elif closed.isdisjoint(row.group_ids) and self._is_in_doubt(row):
                match self._answer(step_id):
                    case "skip":
                        resolution.skip(row)
                    case "":
                        in_doubt.append(step_id)
        if in_doubt:
            raise InvalidUsage("\n".join(map(in_doubt_message, in_doubt)))
        return resolution

    def _is_in_doubt(self, row: StepRun) -> bool:
        is_known = row.step_id in self.known or self.choices.is_rerun(row)
        if row.kind != "command" or not was_interrupted(row) or is_known:
            return False
        entry = self.outline.get(key_of(row.step_id))
        step = entry.step if entry is not None else None
        if not isinstance(step, CommandStep):
            return True
        return not self.repeatable.may_repeat(step, row.argv or ())

    def _answer(self, step_id: str) -> str:
        if self.ask is None:
            return ""
        question = (
            f'step "{step_id}" was interrupted and its outcome is unknown: '
            "[r]un it again, [s]kip it as done, or stop here [N]?"
        )
        while True:
            answer = self.ask(question)
            if answer in _RERUN:
                return "rerun"
            if answer in _SKIP:
                return "skip"
            if answer in _STOP:
                return ""


def in_doubt_message(step_id: str) -> str:
    """Return the error for a step in doubt, with both ways to resolve it."""
    return wording.in_doubt(f'"{step_id}"', step_id=step_id)
