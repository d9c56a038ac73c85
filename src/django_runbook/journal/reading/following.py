"""Follows a running run in the history: its steps as they start and end, and their output as it is stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, TypeVar

from django.db.models import Q, QuerySet

from django_runbook.cleaning import cleaned_line
from django_runbook.exceptions import JournalLost
from django_runbook.journal.connection import JournalConnection
from django_runbook.journal.liveness import ProcessState, displayed_status, process_state_of
from django_runbook.journal.reading.output_lines import lines_after
from django_runbook.journal.reading.row_text import step_line
from django_runbook.locks.factory import Locks
from django_runbook.models import RUNNING, Run, StepRun
from django_runbook.wording import short_id

# A run stores the output and the progress of its steps once a second.
POLL_SECONDS: Final = 1.0
_ROWS_PER_READ: Final = 500
_Value = TypeVar("_Value")
# The lock of a run is probed after this many polls without news.
_QUIET_POLLS: Final = 5


class Follower:
    """Follows one run. Each poll reads only rows that are new or were running at the last poll."""

    def __init__(
        self, run: Run, *, new_lock: Locks, using: str, on_wait: Callable[[str], None] = lambda reason: None
    ) -> None:
        self.run = run
        self.status = run.status
        self._new_lock = new_lock
        self._using = using
        # A database that restarts does not end the run, which waits for it too.
        self._connection = JournalConnection(using)
        self._connection.on_wait = on_wait
        self._last_pk = 0
        self._seen_counts: dict[int, int] = {}

    def lines(self, sleep: Callable[[float], None]) -> Iterator[str]:
        """Yield lines until the run has ended or its process has died; `status` then has the status to display."""
        yield cleaned_line(f"{self.run.name} ({self.run.file}), run {short_id(self.run.pk)}")
        yield from self._poll(is_first=True)
        quiet_count = _QUIET_POLLS
        while not self._is_over(is_probed=quiet_count > 0 and quiet_count % _QUIET_POLLS == 0):
            sleep(POLL_SECONDS)
            quiet_count += 1
            for line in self._poll():
                quiet_count = 0
                yield line
        yield from self._poll()
        code = "" if self.run.exit_code is None else f", exit code {self.run.exit_code}"
        yield cleaned_line(f"{self.status}{code}" + (f": {self.run.reason}" if self.run.reason else ""))

    def _poll(self, *, is_first: bool = False) -> Iterator[str]:
        """Yield the lines for what has changed; of steps that ended before the first poll, only their result."""
        rows = StepRun.objects.using(self._using).filter(
            Q(pk__gt=self._last_pk) | Q(pk__in=list(self._seen_counts)), run=self.run
        )
        rows = rows.defer("output", "definition", "traceback").order_by("pk")
        for step in self._in_parts(rows) if is_first else self._read(lambda: sorted(rows.all(), key=_moment)):
            self._last_pk = max(self._last_pk, step.pk)
            is_new, is_running = step.pk not in self._seen_counts, step.status == RUNNING
            if is_running and is_new:
                yield step_line(step)
            if step.kind == "command" and (is_running or not is_first):
                yield from self._output(step)
            if is_running:
                self._seen_counts.setdefault(step.pk, 0)
            else:
                self._seen_counts.pop(step.pk, None)
                yield step_line(step)

    def _in_parts(self, rows: QuerySet[StepRun]) -> Iterator[StepRun]:
        """Yield rows after the last one that was followed: a long run has thousands of them at first, and few later."""
        while part := self._read(lambda: list(rows.filter(pk__gt=self._last_pk)[:_ROWS_PER_READ])):
            yield from part

    def _output(self, step: StepRun) -> Iterator[str]:
        found = lines_after(step, self._seen_counts.get(step.pk, 0))
        self._seen_counts[step.pk] = found.seen_count
        for line in found:
            yield f"    {step.step_id} | {line}"

    def _read(self, read: Callable[[], _Value]) -> _Value:
        """Read from the history; a database that is unavailable is waited for, as long as a run waits."""
        try:
            return self._connection.execute(lambda is_repeated: read())
        except JournalLost as error:
            if error.__cause__ is None:
                raise
            raise error.__cause__ from None

    def _is_over(self, *, is_probed: bool) -> bool:
        self._read(lambda: self.run.refresh_from_db(using=self._using))
        self.status = self.run.status
        if is_probed and self.status == RUNNING:
            state = self._read(lambda: process_state_of(self.run, self._new_lock))
            self.status = displayed_status(self.run, state)
            return state in {ProcessState.DEAD, ProcessState.ENDED}
        return self.status != RUNNING


def _moment(step: StepRun) -> tuple[float, int]:
    """Return when a step ended or, if it is running, started; a group ends after the steps inside."""
    at = step.finished_at or step.started_at
    return (0.0 if at is None else at.timestamp(), -len(step.group_ids))
