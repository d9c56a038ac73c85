"""Writes the rows of a run, each exactly once, and keeps them in memory until the tables exist."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from django.db import IntegrityError, transaction

from django_runbook.exceptions import JournalLost
from django_runbook.journal.connection import GONE, JournalConnection
from django_runbook.models import Run, StepRun
from django_runbook.results import StepStatus

_ROWS_PER_INSERT: Final = 500


class Writer:
    """Writes the rows of one run. ``take_over`` makes this process the owner of the rows of a resumed run.

    As long as the tables do not exist, the rows are kept in memory: `is_waiting`.
    """

    def __init__(self, run: Run, *, connection: JournalConnection, take_over: Callable[[], None] | None = None) -> None:
        self.is_waiting = False
        self.connection = connection
        self._run = run
        self._take_over = take_over
        self._kept: list[StepRun] = []

    @property
    def alias(self) -> str:
        return self.connection.alias

    def begin(self) -> None:
        """Write that the run is running, or find out that its table does not exist."""
        if not self.connection.exists():
            self.is_waiting = True
            return
        take_over = self._take_over
        if take_over is not None:
            self.connection.execute(lambda is_repeated: take_over())
            return
        try:
            self.connection.execute(lambda is_repeated: self._insert(self._run, is_repeated=is_repeated))
        except JournalLost:
            if self.connection.execute(lambda is_repeated: self.connection.find_tables()):
                raise
            self.is_waiting = True

    def execute_together(self, writes: Sequence[Callable[[], None]]) -> None:
        """Execute writes of steps in one transaction, so that the end of a step and the next start are one commit."""
        if self.is_waiting or len(writes) == 1:
            for write in writes:
                write()
        else:
            self.connection.execute_together(writes)

    def insert(self, row: StepRun) -> None:
        """Write a new row."""
        if self.is_waiting:
            self._kept.append(row)
        else:
            self.connection.execute(lambda is_repeated: self._insert(row, is_repeated=is_repeated))

    def insert_all(self, rows: list[StepRun]) -> None:
        """Write rows that do not change any more."""
        if self.is_waiting:
            self._kept += rows
            return
        for first in range(0, len(rows), _ROWS_PER_INSERT):
            some = rows[first : first + _ROWS_PER_INSERT]
            self.connection.execute(functools.partial(self._insert_some, some))

    def finish(self, row: StepRun, status: StepStatus, changes: dict[str, Any], *, before: str) -> None:
        """Write the end of a row, whose status is ``before``."""
        if self.is_waiting:
            for name, value in {"status": status.value, **changes}.items():
                setattr(row, name, value)
            return

        def finish(is_repeated: bool) -> None:  # noqa: FBT001 - `execute` calls it
            row.status = before
            is_written = row.finish(status, using=self.alias, **changes)
            if not is_written and not (is_repeated and self._has_status(row, status.value)):
                raise JournalLost(GONE)

        self.connection.execute(finish)

    def note(self, row: StepRun, changes: dict[str, Any]) -> None:
        """Write the progress of a row; another note will come, so this one does not wait for the database."""
        if self.is_waiting:
            return

        def note() -> None:
            # An atomic step may have committed its end in the meantime.
            if not row.note(using=self.alias, **changes) and not self._has_status(row, StepStatus.SUCCEEDED.value):
                raise JournalLost(GONE)

        self.connection.execute_once(note)

    def note_run(self, **changes: Any) -> None:
        """Write what becomes known during the run."""
        if self.is_waiting:
            for name, value in changes.items():
                setattr(self._run, name, value)
            return

        def note(is_repeated: bool) -> None:  # noqa: FBT001 - `execute` calls it
            if not self._run.note(using=self.alias, **changes):
                raise JournalLost(GONE)

        self.connection.execute(note)

    def finish_run(self, **result: Any) -> None:
        """Write the end of the run."""
        if self.is_waiting:
            return

        def finish(is_repeated: bool) -> None:  # noqa: FBT001 - `execute` calls it
            run = self._run
            run.status = "running"
            is_written = run.finish(using=self.alias, **result)
            if not is_written and not (is_repeated and self._has_status(run, run.status)):
                raise JournalLost(GONE)

        self.connection.execute(finish)

    def write_if_ready(self) -> None:
        """Write the rows that are kept in memory if the tables exist by now."""
        if not self.is_waiting or not self.connection.execute(lambda is_repeated: self.connection.is_ready()):
            return

        def write(is_repeated: bool) -> None:  # noqa: FBT001 - `execute` calls it
            with transaction.atomic(using=self.alias):
                if is_repeated and self._has_status(self._run, self._run.status):
                    return
                self._run.save(force_insert=True, using=self.alias)
                StepRun.objects.using(self.alias).bulk_create(self._kept, batch_size=_ROWS_PER_INSERT)

        self.connection.execute(write)
        # Not every database returns the keys.
        keys = dict(_keys(StepRun.objects.using(self.alias).filter(run=self._run)))
        for row in self._kept:
            row.pk = keys[row.step_id, row.attempt]
        self.is_waiting, self._kept = False, []

    def can_note(self) -> bool:
        """Return whether progress may be written now."""
        return self.connection.is_outside_commands()

    def is_committed(self, row: StepRun, status: StepStatus) -> bool:
        """Return whether the row has this status by now, although an error came instead of an answer."""
        return self.connection.execute(lambda is_repeated: self._has_status(row, status.value))

    def _insert(self, row: Run | StepRun, *, is_repeated: bool) -> None:
        try:
            with transaction.atomic(using=self.alias) if is_repeated else contextlib.nullcontext():
                if isinstance(row, StepRun):
                    row.insert(using=self.alias)
                else:
                    row.save(force_insert=True, using=self.alias)
        except IntegrityError:
            if not is_repeated or not self._has_status(row, "running"):
                raise

    def _insert_some(self, rows: list[StepRun], is_repeated: bool) -> None:  # noqa: FBT001 - `execute` calls it
        known = dict(_keys(StepRun.objects.using(self.alias).filter(run=self._run))) if is_repeated else {}
        missing = [row for row in rows if (row.step_id, row.attempt) not in known]
        for row in missing:
            # The key may be that of a transaction that was rolled back.
            row.pk = None
        StepRun.objects.using(self.alias).bulk_create(missing)

    def _has_status(self, row: Run | StepRun, status: str) -> bool:
        """Return whether the row exists, belongs to this process and has this status: then only an answer was lost."""
        if isinstance(row, Run):
            return Run.objects.using(self.alias).filter(pk=row.pk, owner=row.owner, status=status).exists()
        mine = StepRun.objects.using(self.alias).filter(
            run=self._run,
            run__owner=self._run.owner,
            step_id=row.step_id,
            attempt=row.attempt,
            run_attempt=row.run_attempt,
        )
        found = mine.filter(status=status).values_list("pk", flat=True).first()
        if found is not None:
            row.pk = found
        return found is not None


def _keys(rows: Any) -> Iterator[tuple[tuple[str, int], int]]:
    for pk, step_id, attempt in rows.values_list("pk", "step_id", "attempt"):
        yield (step_id, attempt), pk
