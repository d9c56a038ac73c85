"""Acquires the lock of the run to resume, and restores the inputs that the run began with."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

from django_runbook import conf
from django_runbook.document.inputs import GivenInputs
from django_runbook.exceptions import InvalidUsage, LockHeld
from django_runbook.journal import liveness, new_run, unreadable
from django_runbook.locks import held as held_locks
from django_runbook.locks import namespace
from django_runbook.locks.base import Lock, Probe
from django_runbook.locks.factory import Locks
from django_runbook.locks.held import HeldLock
from django_runbook.models import RUNNING, Run
from django_runbook.models.fields import to_db_text
from django_runbook.planning.selection import Selection
from django_runbook.resume.unfinished import find_unfinished
from django_runbook.structs import Struct

# show_runs and the admin hold the lock of a run for a moment to check whether its process is alive.
_PROBE_SECONDS: Final = 0.5


class ResumedRun(Struct):
    """Holds an unfinished run and its lock, which this process holds."""

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
    ) -> GivenInputs:
        """Return the inputs that the run began with; ``params`` may add only values that are not recorded.

        ``declared`` are the parameters that the runbook has now.
        """
        gone = [name for name in self.run.params if name not in declared]
        if gone and not accepts_changes:
            raise InvalidUsage(
                f'the run began with the parameter "{gone[0]}", which the runbook no longer has; '
                "--accept-changes continues without it"
            )
        withheld = [name for name in self.run.options.get("withheld_params", ()) if name in declared]
        for name in params:
            # A parameter that is not recorded is new in the file and has no other source.
            if name in self.run.params:
                raise InvalidUsage(f"--param {name}: a resumed run keeps the parameters that it began with")
        for name in withheld:
            if name not in params:
                raise InvalidUsage(f"--param {name}: its value held a secret and was not recorded: pass it again")
        run = {**names, "id": self.run.id}
        values = {name: value for name, value in self.run.params.items() if name in declared}
        return GivenInputs(
            params=params,
            values=values,
            environ=environ,
            recorded_env=self.run.options.get("env", {}),
            now=self.run.began(),
            run=run,
        )

    @property
    def selection(self) -> Selection:
        return new_run.stored_selection(self.run)

    @property
    def options(self) -> Mapping[str, Any]:
        """Return the other options that the run began with."""
        options: Mapping[str, Any] = self.run.options
        return options

    @property
    def shard_counts(self) -> Mapping[str, int]:
        """Return the number of shards of each step that had them, by its key."""
        counts: Mapping[str, int] = self.run.options.get("shards", {})
        return counts


def acquire(
    runbook: str,
    id_prefix: str,
    *,
    new_lock: Locks,
    on_retaken: Callable[[str], None] = lambda name: None,
    on_wait: Callable[[str], None] = lambda holder: None,
) -> ResumedRun:
    """Find the run to resume and acquire its lock; raises LockHeld if another process holds the lock.

    An ``id_prefix`` states that the process of the run is dead. Without it, a run is refused if its lock cannot be seen
    from this process.
    """
    runbook = to_db_text(runbook)
    run = find_unfinished(runbook, id_prefix, using=conf.journal_alias())
    unreadable.refuse_other_tables(conf.journal_alias())
    lock = new_lock(run.lock_name)
    if run.status == RUNNING and not id_prefix:
        run = _with_visible_lock(runbook, run, lock, locks=new_lock)
    _wait_for_probes(run, lock)
    held = held_locks.hold(
        lock, namespace=namespace.host_namespace(), on_retaken=lambda: on_retaken(lock.name), on_wait=on_wait
    )
    try:
        # Another process may have changed the row before this process acquired the lock.
        return ResumedRun(
            run=find_unfinished(runbook, run.id, using=conf.journal_alias(), is_lock_held=True), lock=held
        )
    except BaseException:
        held.close()
        raise


def _wait_for_probes(run: Run, lock: Lock) -> None:
    deadline = time.monotonic() + _PROBE_SECONDS
    while (holder := lock.acquire()) is not None:
        if time.monotonic() > deadline:
            raise LockHeld(f"run {run.id} is still running: {holder}")
        time.sleep(_PROBE_SECONDS / 10)


def _with_visible_lock(runbook: str, run: Run, lock: Lock, *, locks: Locks) -> Run:
    """Return the run as it is now; raises InvalidUsage if its process may be alive where its lock cannot be seen."""
    is_visible = liveness.is_lock_visible(run, locks)
    if is_visible and lock.probe() is not Probe.UNKNOWN:
        return run
    # The run may have ended in the meantime and discarded its lock.
    run = find_unfinished(runbook, run.id, using=conf.journal_alias())
    if run.status != RUNNING:
        return run
    owner = f"process {run.pid} of {run.user or 'an unknown user'} on {run.host}"
    why = "" if is_visible else f', because it is in "{run.lock_backend}" and not in "{locks.identity}"'
    raise InvalidUsage(
        f"run {run.id} may still be running: {owner} has a lock that cannot be seen from here{why}; "
        f"once that process has ended, pass the id: --resume {run.id}"
    )
