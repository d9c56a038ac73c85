"""Records the steps of a run: a step's row says that it is running before its command is called."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from typing import Any, Final

from django_runbook import events
from django_runbook.cleaning import Mask
from django_runbook.journal.new_rows import NewRows
from django_runbook.journal.open_row import OpenRow
from django_runbook.journal.row_columns import (
    SECRET_OUTPUT,
    columns_of_failure,
    columns_of_output,
    columns_of_result,
)
from django_runbook.journal.success_write import SuccessWrite
from django_runbook.journal.write_queue import Writes
from django_runbook.journal.writer import Writer
from django_runbook.models import RUNNING, StepRun, stored
from django_runbook.models.fields import to_db_text
from django_runbook.results import ExitCode, StepStatus
from django_runbook.row_account import to_stored

# How often the progress and the output of running steps are written.
_NOTE_SECONDS: Final = 1.0


class StepJournal:
    """Turns the events of steps into writes of their rows."""

    def __init__(self, *, writer: Writer, writes: Writes, new_rows: NewRows, mask: Mask) -> None:
        self._writer = writer
        self._writes = writes
        self._new_rows = new_rows
        self._mask = mask
        self._open: dict[str, OpenRow] = {}
        self._ended: list[StepRun] = []
        self._is_note_waiting = False
        self._noted_at = time.monotonic()

    @property
    def methods(self) -> dict[type[events.Event], Callable[[Any], None]]:
        """Return the method for each event."""
        return {
            events.StepStarted: self._start,
            events.StepOutputWritten: self._keep_line,
            events.StepProgress: self._keep_progress,
            events.AttemptFailed: self._fail_attempt,
            events.AttemptStarted: self._start_attempt,
            events.StepFinished: self._finish,
        }

    def is_command_running(self) -> bool:
        return any(one.row.kind == "command" for one in tuple(self._open.values()))

    def flush(self) -> None:
        """Write the steps that ended without having started, before another step starts."""
        if self._ended:
            ended, self._ended = self._ended, []
            self._writes.add_row(lambda: self._writer.insert_all(ended))

    def keep_output(self, step_id: str, output: object) -> None:
        if step_id in self._open:
            self._open[step_id].captured = columns_of_output(output, mask=self._mask)

    def withhold_output(self, step_id: str) -> None:
        if step_id in self._open:
            self._open[step_id].captured = SECRET_OUTPUT

    def captured_of(self, step_id: str) -> list[object] | None:
        """Return the captured output of a running step, as a list with one value; None without one."""
        opened = self._open.get(step_id)
        found = None if opened is None else opened.captured.get("output")
        return found if isinstance(found, list) else None

    def keep_unusual(self, event: events.UnusualNoticed) -> None:
        """Keep what is unusual about a step until its row is written, or written next."""
        text, opened = to_db_text(event.text), self._open.get(event.step_id)
        if opened is None:
            self._new_rows.keep_unusual(event.step_id, text)
            return
        opened.unusual.append(text)
        self._note(opened)

    def success_write(self, step_id: str) -> SuccessWrite | None:
        # The row was written before the command began. Later writes, also those of other branches, may wait for a lock
        # that the transaction of the command holds: SQLite has one lock for the whole database.
        if self._writes.error is not None:
            raise self._writes.error
        opened = self._written(step_id)
        if opened is None:
            return None
        return SuccessWrite(
            pk=opened.row.pk, status=opened.status, using=self._writer.alias, changes=opened.take_end_columns()
        )

    def is_committed(self, step_id: str) -> bool:
        opened = self._written(step_id)
        found: list[bool] = []

        def check(row: StepRun) -> None:
            found.append(self._writer.is_committed(row, StepStatus.SUCCEEDED))

        if opened is not None:
            self._writes.add(functools.partial(check, opened.row))
            self._writes.wait()
        return any(found)

    def confirm_commit(self, step_id: str) -> None:
        opened = self._written(step_id)
        if opened is not None:
            opened.status = StepStatus.SUCCEEDED.value

    def _written(self, step_id: str) -> OpenRow | None:
        """Return the open row of a step; None without tables."""
        return None if self._writer.is_waiting else self._open.get(step_id)

    def _start(self, event: events.StepStarted) -> None:
        self.flush()
        self._insert(event.step_id, self._new_rows.started(event))

    def _start_attempt(self, event: events.AttemptStarted) -> None:
        before = self._open[event.step_id].row
        self._insert(event.step_id, self._new_rows.retried(event, before))

    def _insert(self, step_id: str, row: StepRun) -> None:
        self._open[step_id] = OpenRow(row)
        self._writes.add_row(lambda: self._writer.insert(row))

    def _keep_line(self, event: events.StepOutputWritten) -> None:
        opened = self._open.get(event.step_id)
        if opened is not None:
            opened.output.add(event.line)
            self._note(opened)

    def _keep_progress(self, event: events.StepProgress) -> None:
        opened = self._open.get(event.step_id)
        if opened is None:
            return
        opened.progress = {
            "done_count": event.done_count,
            "total_count": event.total_count,
            "failed_count": event.failed_count,
        }
        self._note(opened)

    def _note(self, opened: OpenRow) -> None:
        """Schedule a write of the progress and the output of all running steps, at most once a second."""
        opened.is_noted = False
        if not self._is_note_waiting and self._writer.can_note():
            seconds = self._noted_at + _NOTE_SECONDS - time.monotonic()
            self._is_note_waiting = self._writes.add_later(self._write_notes, seconds=seconds)

    def _write_notes(self) -> None:
        self._is_note_waiting = False
        self._noted_at = time.monotonic()
        for one in tuple(self._open.values()):
            # Between two attempts, the row of the first attempt has ended.
            if one.status == RUNNING and one.row.pk is not None and not one.is_noted:
                one.is_noted = True
                self._writer.note(one.row, one.progress_columns())

    def _fail_attempt(self, event: events.AttemptFailed) -> None:
        opened = self._open[event.step_id]
        failure = event.failure
        is_timeout = failure.exit_code == ExitCode.TIMED_OUT and failure.error_type == "TimeoutError"
        status = StepStatus.TIMED_OUT if is_timeout else StepStatus.FAILED
        changes = {
            "finished_at": stored(event.at),
            "row_counts": to_stored(event.row_account),
            **opened.take_end_columns(),
        }
        self._write_end(opened, status, changes | columns_of_failure(failure))

    def _finish(self, event: events.StepFinished) -> None:
        result = event.result
        if result.is_past:
            return
        opened = self._open.pop(result.step_id, None)
        if opened is None:
            self._ended.append(self._new_rows.ended(event))
        elif opened.status in {RUNNING, StepStatus.SUCCEEDED}:
            if result.is_group:
                # A resumed run does not enter a completed group, so the steps inside must be stored before.
                self.flush()
            ended = {"finished_at": stored(event.at), "duration_seconds": result.duration_seconds}
            changes = {**ended, **opened.take_end_columns()}
            self._write_end(opened, result.status, changes | columns_of_result(result))
        # Otherwise the step was interrupted while it waited for a retry: the row of the last attempt has failed.
        if self._writer.is_waiting:
            self._writes.add(self._writer.write_if_ready)

    def _write_end(self, opened: OpenRow, status: StepStatus, changes: dict[str, Any]) -> None:
        before, row = opened.status, opened.row
        opened.status = status.value
        self._writes.add_row(lambda: self._writer.finish(row, status, changes, before=before))
