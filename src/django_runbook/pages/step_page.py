"""Prepares the page of one attempt of a step."""

from __future__ import annotations

import json
from typing import Any, Final

from django.db.models import QuerySet
from django.db.models.functions import Left
from django.utils.safestring import SafeString

from django_runbook import wording
from django_runbook.cleaning import cleaned
from django_runbook.journal.liveness import ProcessState
from django_runbook.journal.reading.output_lines import NewLines, lines_after
from django_runbook.models import RUNNING, StepRun
from django_runbook.pages import formatting
from django_runbook.pages.attempt_rows import Attempt, attempts_at, retries
from django_runbook.pages.worker_texts import worker_text_at
from django_runbook.row_account import RowAccount, from_stored
from django_runbook.structs import Struct

# A captured output may be too large for a page.
_MAX_CAPTURED: Final = 64 * 1024


class OtherAttempt(Struct):
    """Describes an attempt of the same step in the list of links."""

    pk: int
    number: int
    run_attempt: int
    badge: SafeString
    duration: str
    is_this: bool


class StepPage(Struct):
    """Holds the content of the page; ``is_dead`` means that the process of the run died.

    A reader who polls has seen the first ``seen_before`` lines of the output.
    """

    step: StepRun
    is_dead: bool
    attempts: tuple[Attempt, ...] = ()
    worker: str = ""
    seen_before: int = 0

    @property
    def status(self) -> str:
        return self._status(self.step)

    @property
    def badge(self) -> SafeString:
        return formatting.badge(self.status)

    @property
    def others(self) -> list[OtherAttempt]:
        """Return all attempts, this one among them."""
        return [
            OtherAttempt(
                pk=attempt.pk,
                number=attempt.attempt,
                run_attempt=attempt.run_attempt,
                badge=formatting.badge(self._status(attempt)),
                duration=formatting.took(attempt.took_seconds(is_retry=is_retry)),
                is_this=attempt.pk == self.step.pk,
            )
            for attempt, is_retry in zip(self.attempts, retries(self.attempts), strict=True)
        ]

    @property
    def duration(self) -> str:
        return formatting.took(self.step.took_seconds)

    @property
    def started(self) -> str:
        return formatting.moment(self.step.started_at) if self.step.started_at is not None else ""

    @property
    def command_line(self) -> str:
        return formatting.command_line(self.step.argv) if self.step.argv else ""

    @property
    def place(self) -> str:
        """Return the file and line of the definition."""
        return f"{self.step.file}:{self.step.line}" if self.step.line else self.step.file

    @property
    def role(self) -> str:
        return formatting.ROLES.get(self.step.role, self.step.role)

    @property
    def progress(self) -> str:
        """Return the counts of the step."""
        step = self.step
        if step.done_count is None:
            return ""
        return wording.progress(step.done_count, step.total_count, step.failed_count)

    @property
    def is_running(self) -> bool:
        """Return whether the step may write more output."""
        return self.step.status == RUNNING and not self.is_dead

    @property
    def is_live(self) -> bool:
        """Return whether the page shows new lines of the command as they are stored."""
        return self.is_running and self.step.kind == "command"

    @property
    def new_lines(self) -> NewLines:
        """Return the lines after the ``seen_before`` first ones."""
        return lines_after(self.step, self.seen_before)

    @property
    def seen_count(self) -> int:
        """Return the number of lines that a reader of this page has seen."""
        return self.new_lines.seen_count

    @property
    def rows(self) -> RowAccount | None:
        """Return the rows that the step has changed."""
        return from_stored(self.step.row_counts)

    @property
    def has_output(self) -> bool:
        return bool(self.step.output_head or self.step.output_tail)

    @property
    def omitted(self) -> str:
        return formatting.number(self.step.omitted_count) if self.step.omitted_count else ""

    @property
    def captured(self) -> str:
        """Return the value that ``capture`` made of the output, for expressions."""
        start: str = self.step.output_start or ""  # type: ignore[attr-defined]  # see `without_long_output`
        if not start:
            return ""
        if len(start) > _MAX_CAPTURED:
            # The value is stored in a list.
            return f"{start[1:_MAX_CAPTURED]} …"
        text = cleaned(json.dumps(json.loads(start)[0], indent=2, ensure_ascii=False))
        return text if len(text) <= _MAX_CAPTURED else f"{text[:_MAX_CAPTURED]} …"

    def _status(self, attempt: Attempt | StepRun) -> str:
        return formatting.attempt_status(attempt.status, ignored=attempt.ignored, is_dead=self.is_dead)


def without_long_output(steps: QuerySet[Any]) -> QuerySet[Any]:
    """Defer columns that no page shows; a captured output may fill the memory of the process."""
    found: QuerySet[Any] = steps.defer("output", "definition").annotate(output_start=Left("output", _MAX_CAPTURED + 1))
    return found


def step_page(step: StepRun, process_state: ProcessState) -> StepPage:
    """Create the page of one attempt of a step."""
    return StepPage(
        step=step, attempts=attempts_at(step), is_dead=process_state is ProcessState.DEAD, worker=worker_text_at(step)
    )


def live_step_page(step: StepRun, process_state: ProcessState, *, seen_count: int) -> StepPage:
    """Create the parts of the page that change while the step is running, for a reader of the first lines."""
    return StepPage(step=step, is_dead=process_state is ProcessState.DEAD, seen_before=seen_count)
