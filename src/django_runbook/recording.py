"""Make the journal for one call of ``run_runbook``: of a new run, or of one that is resumed."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from django.db import connections

from django_runbook import checking, conf, resume
from django_runbook.binding.plan import Plan
from django_runbook.document.inputs import Given
from django_runbook.exceptions import InvalidUsage, LockHeld
from django_runbook.fields import to_db_text
from django_runbook.journal import beginning, liveness
from django_runbook.journal.definitions import Definitions
from django_runbook.journal.listener import Journal
from django_runbook.journal.thread import ImmediateWrites, ThreadedWrites, Writes
from django_runbook.journal.writer import PATIENCE_SECONDS, Writer
from django_runbook.locks import held as held_locks
from django_runbook.locks import space
from django_runbook.locks.base import Lock, Probe
from django_runbook.locks.factory import Locks
from django_runbook.locks.held import HeldLock
from django_runbook.locks.watching import retaken
from django_runbook.models import RUNNING, Run
from django_runbook.process.connections import is_in_memory
from django_runbook.process.masking import Mask
from django_runbook.repeating import Repeatable
from django_runbook.runner.selection import Selection

# Whoever asks whether a run lives, in show_runs or the admin, may have its lock for a moment.
_LOOK_SECONDS: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumed:
    """Holds an unfinished run whose lock is ours."""

    run: Run
    lock: HeldLock

    def given(
        self,
        params: Mapping[str, str],
        *,
        environ: Mapping[str, str],
        names: Mapping[str, object],
        declared: Collection[str],
        accepts_changes: bool,
    ) -> Given:
        """Return what the run was given when it began; only what could not be recorded is given again.

        ``declared`` are the parameters that the runbook has now.
        """
        gone = [name for name in self.run.params if name not in declared]
        if gone and not accepts_changes:
            raise InvalidUsage(
                f'the runbook has no parameter "{gone[0]}" any more, which the run was given; '
                "--accept-changes continues without it"
            )
        withheld = [name for name in self.run.options.get("withheld_params", ()) if name in declared]
        for name in params:
            # What it did not begin with is new in the file, and could come from nowhere else.
            if name in self.run.params:
                raise InvalidUsage(f"--param {name}: a resumed run keeps the parameters that it began with")
        for name in withheld:
            if name not in params:
                raise InvalidUsage(f"--param {name}: its value held a secret and was not recorded: give it again")
        run = {**names, "id": self.run.id}
        values = {name: value for name, value in self.run.params.items() if name in declared}
        return Given(params=params, values=values, environ=environ, now=self.run.began(), run=run)

    @property
    def selection(self) -> Selection:
        return beginning.selection_of(self.run)

    @property
    def options(self) -> Mapping[str, Any]:
        """Return the other options of the first attempt."""
        options: Mapping[str, Any] = self.run.options
        return options


def alias() -> str:
    """The database of the journal."""
    return conf.journal_alias()


def _writes_of(writer: Writer) -> Writes:
    if is_connection_shared(writer.alias):
        writer.share_connection()
        return ImmediateWrites()
    writes = ThreadedWrites(patience_seconds=2 * PATIENCE_SECONDS)
    writer.on_answer = writes.note_answer
    return writes


def is_connection_shared(using: str) -> bool:
    """Whether only the connection of this thread sees what is written: in a transaction, or a database in memory."""
    return connections[using].in_atomic_block or is_in_memory(using)


def find(asked: str) -> Run:
    """Find the run whose id begins with this; raises InvalidUsage unless there is exactly one."""
    if not asked:
        raise InvalidUsage("--run needs the id of a run, or its first characters")
    found = list(Run.objects.using(alias()).filter(pk__startswith=to_db_text(asked)).newest_first()[:2])
    if len(found) != 1:
        raise InvalidUsage(f"{'several runs begin' if found else 'no run begins'} with {asked}")
    return found[0]


def hold(
    runbook: str,
    asked: str,
    *,
    new_lock: Locks,
    on_retaken: Callable[[str], None] = lambda name: None,
    on_wait: Callable[[str], None] = lambda holder: None,
) -> Resumed:
    """Find the run to resume and acquire its lock; raises LockHeld if another process works on it.

    Without ``asked``, which says that its process is gone, a run is refused whose lock is kept elsewhere.
    """
    runbook = to_db_text(runbook)
    found = resume.find(runbook, asked, using=alias())
    lock = new_lock(found.lock_name)
    if found.status == RUNNING and not asked:
        found = _without_doubt(runbook, found, lock, locks=new_lock)
    deadline = time.monotonic() + _LOOK_SECONDS
    while (holder := lock.acquire()) is not None:
        if time.monotonic() > deadline:
            raise LockHeld(f"the run {found.id} is running: {holder}")
        time.sleep(_LOOK_SECONDS / 10)
    held = held_locks.hold(lock, space=space.on_this_host(), on_retaken=lambda: on_retaken(lock.name), on_wait=on_wait)
    try:
        # Its row may have changed before its lock was ours.
        return Resumed(run=resume.find(runbook, found.id, using=alias(), is_ours=True), lock=held)
    except BaseException:
        held.close()
        raise


def _without_doubt(runbook: str, run: Run, lock: Lock, *, locks: Locks) -> Run:
    """Return the run as it is now; raises InvalidUsage if its process may be there, where nobody sees it from here."""
    is_seen = liveness.is_seen_from_here(run, locks)
    if is_seen and lock.probe() is not Probe.UNKNOWN:
        return run
    # It may have ended meanwhile, and have discarded its lock.
    run = resume.find(runbook, run.id, using=alias())
    if run.status != RUNNING:
        return run
    who = f"process {run.pid} of {run.user or 'somebody'} on {run.host}"
    where = "" if is_seen else f', since it is kept by "{run.lock_backend}" and not by "{locks.identity}"'
    raise InvalidUsage(
        f"the run {run.id} may still be running: {who} has a lock that cannot be seen from here{where}; "
        f"once that process is gone, give the id: --resume {run.id}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorder:
    """Makes the journal of a run that is about to start."""

    plan: Plan
    mask: Mask
    new_lock: Locks
    tell: Callable[[str], None]

    def begin(self, *, path: Path, runbook: str, given: Collection[str], options: Mapping[str, Any]) -> Journal:
        """Make the journal of a new run."""
        run = beginning.new_run(self.plan, path=path, runbook=runbook, given=given, options=options, mask=self.mask)
        run.lock_backend = to_db_text(self.new_lock.identity)
        lock = self.new_lock(run.lock_name)
        holder = lock.acquire()
        if holder is not None:
            raise LockHeld(f"the run {run.id} is running: {holder}")
        held = held_locks.hold(lock, space=space.on_this_host(), on_retaken=lambda: self.tell(retaken(lock.name)))
        return self._journal(run, held, writer=Writer(run, alias=alias()))

    def left_of(
        self, resumed: Resumed, answers: resume.Answers, *, left_out: Mapping[str, str], ask: resume.Ask | None
    ) -> resume.Left:
        """Return what is left of a resumed run; ``left_out`` are the steps that its selection leaves out."""
        return resume.left_of(
            resumed.run,
            self._definitions,
            answers,
            left_out=left_out,
            using=alias(),
            ask=ask,
            mask=self.mask,
            repeatable=Repeatable(own=conf.read().idempotent),
        )

    def go_on(
        self, resumed: Resumed, left: resume.Left, *, given: Collection[str], options: Mapping[str, Any]
    ) -> Journal:
        """Make the journal of a resumed run; with its first event it takes the run over."""
        run = resumed.run
        columns = beginning.columns_to_resume(run, self.plan, given=given, options=options, mask=self.mask)
        columns["lock_backend"] = to_db_text(self.new_lock.identity)

        def take_over() -> None:
            resume.take_over(run, left, using=alias(), at=checking.now(), columns=columns)

        writer = Writer(run, alias=alias(), take_over=take_over)
        return self._journal(run, resumed.lock, writer=writer, attempts=left.attempts)

    @property
    def _definitions(self) -> Definitions:
        return Definitions(plan=self.plan, mask=self.mask)

    def _journal(
        self,
        run: Run,
        lock: HeldLock,
        *,
        writer: Writer,
        attempts: Mapping[str, int] | None = None,
    ) -> Journal:
        return Journal(
            run,
            writer=writer,
            writes=_writes_of(writer),
            definitions=self._definitions,
            lock=lock,
            mask=self.mask,
            tell=self.tell,
            attempts=attempts,
        )
