"""Make the page of one attempt of a step."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from django.db.models import QuerySet
from django.db.models.functions import Left
from django.utils.safestring import SafeString

from django_runbook.cleaning import cleaned
from django_runbook.journal.liveness import ProcessState
from django_runbook.models import RUNNING, StepRun
from django_runbook.pages import words
from django_runbook.pages.attempts import Attempt, attempts_at, retries
from django_runbook.pages.progress import Progress

# An expression may see more than a page should hold.
_MAX_CAPTURED: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherAttempt:
    """An attempt of the same step, in the list that leads to it."""

    pk: int
    number: int
    run_attempt: int
    badge: SafeString
    duration: str
    is_this: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StepPage:
    """What there is to show of one attempt of a step. ``is_gone`` says that the process of its run died."""

    step: StepRun
    attempts: tuple[Attempt, ...]
    is_gone: bool

    @property
    def badge(self) -> SafeString:
        return words.badge(self._look(self.step))

    @property
    def others(self) -> list[OtherAttempt]:
        """Return all attempts, this one among them."""
        return [
            OtherAttempt(
                pk=attempt.pk,
                number=attempt.attempt,
                run_attempt=attempt.run_attempt,
                badge=words.badge(self._look(attempt)),
                duration=words.took(attempt.took_seconds(is_retry=is_retry)),
                is_this=attempt.pk == self.step.pk,
            )
            for attempt, is_retry in zip(self.attempts, retries(self.attempts), strict=True)
        ]

    @property
    def duration(self) -> str:
        return words.took(self.step.took_seconds)

    @property
    def started(self) -> str:
        return words.moment(self.step.started_at) if self.step.started_at is not None else ""

    @property
    def command_line(self) -> str:
        return words.command_line(self.step.argv) if self.step.argv else ""

    @property
    def place(self) -> str:
        """Where it stands."""
        return f"{self.step.file}:{self.step.line}" if self.step.line else self.step.file

    @property
    def role(self) -> str:
        return words.ROLES.get(self.step.role, self.step.role)

    @property
    def progress(self) -> str:
        """What it counted."""
        step = self.step
        if step.done_count is None:
            return ""
        return Progress(done_count=step.done_count, total_count=step.total_count, failed_count=step.failed_count).text

    @property
    def is_running(self) -> bool:
        """Whether the step may print more."""
        return self.step.status == RUNNING and not self.is_gone

    @property
    def has_output(self) -> bool:
        return bool(self.step.output_head or self.step.output_tail)

    @property
    def left_out(self) -> str:
        return words.number(self.step.left_out_count) if self.step.left_out_count else ""

    @property
    def captured(self) -> str:
        """What ``capture`` made of its output, which expressions see."""
        start: str = self.step.output_start or ""  # type: ignore[attr-defined]  # see `without_long_output`
        if not start:
            return ""
        if len(start) > _MAX_CAPTURED:
            # It is stored as a list of one value.
            return f"{start[1:_MAX_CAPTURED]} …"
        text = cleaned(json.dumps(json.loads(start)[0], indent=2, ensure_ascii=False))
        return text if len(text) <= _MAX_CAPTURED else f"{text[:_MAX_CAPTURED]} …"

    def _look(self, attempt: Attempt | StepRun) -> str:
        return words.look_of(attempt.status, ignored=attempt.ignored, is_gone=self.is_gone)


def without_long_output(steps: QuerySet[Any]) -> QuerySet[Any]:
    """Leave out of rows what no page shows; a captured output may be as large as the memory of a process."""
    found: QuerySet[Any] = steps.defer("output", "definition").annotate(output_start=Left("output", _MAX_CAPTURED + 1))
    return found


def step_page(step: StepRun, process_state: ProcessState) -> StepPage:
    """The page of one attempt of a step."""
    return StepPage(step=step, attempts=attempts_at(step), is_gone=process_state is ProcessState.DEAD)
