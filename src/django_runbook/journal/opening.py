"""Opens the journal of a run: creates its row or takes it over, and chooses the thread that writes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, Final

from django.db import connections, transaction

from django_runbook import clock, conf
from django_runbook.cleaning import Mask
from django_runbook.exceptions import LockHeld
from django_runbook.journal import new_run
from django_runbook.journal.connection import PATIENCE_SECONDS, JournalConnection
from django_runbook.journal.definitions import Definitions
from django_runbook.journal.listener import Journal
from django_runbook.journal.write_queue import ImmediateWrites, ThreadedWrites, Writes
from django_runbook.journal.writer import Writer
from django_runbook.locks import held as held_locks
from django_runbook.locks import namespace
from django_runbook.locks.factory import Locks
from django_runbook.locks.held import HeldLock
from django_runbook.locks.watching import retaken
from django_runbook.models import Run, StepRun
from django_runbook.models.fields import to_db_text
from django_runbook.planning.plan import Plan
from django_runbook.process.connections import is_in_memory
from django_runbook.results import StepStatus
from django_runbook.structs import Struct

MARKED_AS_DONE: Final = "marked as done by --skip"


class JournalFactory(Struct):
    """Opens the journal of a new run, or of a resumed run. ``warn`` prints a line for the person who runs it."""

    plan: Plan
    mask: Mask
    new_lock: Locks
    warn: Callable[[str], None]

    def open_new(self, *, path: Path, runbook: str, given: Collection[str], options: Mapping[str, Any]) -> Journal:
        """Open the journal of a new run and acquire the lock of the run."""
        run = new_run.new_run(self.plan, path=path, runbook=runbook, given=given, options=options, mask=self.mask)
        run.lock_backend = to_db_text(self.new_lock.identity)
        lock = self.new_lock(run.lock_name)
        holder = lock.acquire()
        if holder is not None:
            raise LockHeld(f"run {run.id} is already running: {holder}")
        held = held_locks.hold(
            lock, namespace=namespace.host_namespace(), on_retaken=lambda: self.warn(retaken(lock.name))
        )
        return self._journal(run, held)

    def open_resumed(
        self,
        run: Run,
        lock: HeldLock,
        *,
        attempts: Mapping[str, int],
        skipped_pks: Collection[int],
        given: Collection[str],
        options: Mapping[str, Any],
    ) -> Journal:
        """Open the journal of a resumed run, which is taken over with its first event.

        ``attempts`` are the attempt numbers in use, and ``skipped_pks`` the keys of the rows to mark as done.
        """
        columns = new_run.columns_for_resume(run, self.plan, given=given, options=options, mask=self.mask)
        columns["lock_backend"] = to_db_text(self.new_lock.identity)

        def take_over() -> None:
            _take_over(run, skipped_pks, columns=columns)

        return self._journal(run, lock, take_over=take_over, attempts=attempts)

    def _journal(
        self,
        run: Run,
        lock: HeldLock,
        *,
        take_over: Callable[[], None] | None = None,
        attempts: Mapping[str, int] | None = None,
    ) -> Journal:
        writer = Writer(run, connection=JournalConnection(conf.journal_alias()), take_over=take_over)
        return Journal(
            run,
            writer=writer,
            writes=_writes_of(writer),
            definitions=Definitions(plan=self.plan, mask=self.mask),
            lock=lock,
            mask=self.mask,
            warn=self.warn,
            attempts=attempts,
        )


def _take_over(run: Run, skipped_pks: Collection[int], *, columns: Mapping[str, Any]) -> None:
    using = conf.journal_alias()
    with transaction.atomic(using=using):
        if not run.take_over(new_run.new_owner(), using=using, at=clock.now(), **columns):
            raise LockHeld(f"another process has resumed run {run.id}")
        for row in StepRun.objects.using(using).filter(pk__in=skipped_pks).only("status"):
            row.finish(StepStatus.SKIPPED, using=using, reason=MARKED_AS_DONE)


def _writes_of(writer: Writer) -> Writes:
    connection = writer.connection
    if _is_connection_shared(connection.alias):
        connection.share()
        return ImmediateWrites()
    writes = ThreadedWrites(execute_together=writer.execute_together, patience_seconds=2 * PATIENCE_SECONDS)
    connection.on_answer = writes.note_answer
    return writes


def _is_connection_shared(alias: str) -> bool:
    """Return whether only this thread's connection sees the rows: in a transaction, or in a database in memory."""
    return connections[alias].in_atomic_block or is_in_memory(alias)
