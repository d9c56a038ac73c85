"""Runs calls on a worker: claims each, runs its command in a process of its own, and stores its end.

The host's process is never ended, and nothing of a command stays in it.
"""

from __future__ import annotations

import os
import socket
import threading
import uuid
from functools import cache

from django.db import connections
from django.db.models import Q

from django_runbook import conf
from django_runbook.exceptions import LockHeld, RunbookError
from django_runbook.executors.calling import PassedChecks
from django_runbook.executors.spawner import Spawner
from django_runbook.journal.connection import JournalConnection
from django_runbook.locks import factory as locks
from django_runbook.locks import held as held_locks
from django_runbook.locks import namespace
from django_runbook.locks.held import HeldLock
from django_runbook.models import statements
from django_runbook.models.calls import NO_CONTENT, Call, CallStatus, worker_lock_name
from django_runbook.process import isolation
from django_runbook.queues import versions
from django_runbook.queues.call_content import CallContent
from django_runbook.queues.claimed_call import ClaimedCall


def run_call(call_id: str, *, ends_at_signal: bool = False) -> None:
    """Run a call if it is still queued, and return once its end is stored or another worker may take it.

    A call that is not queued, because its message came twice or late, is left alone. The first SIGTERM to this process
    asks for its shutdown; with ``ends_at_signal``, it asks for its immediate end. Raise RunbookError if the worker
    cannot take calls: the call stays queued, and is sent again.
    """
    _worker_of(os.getpid()).run(call_id, ends_at_signal=ends_at_signal)


def release_calls_of(pid: int) -> None:
    """Ask the calls in a worker's process on this host, and in its children, to stop after their batch."""
    alias = conf.journal_alias()
    own = Q(pid=pid) | Q(parent_pid=pid)
    calls = Call.objects.using(alias).filter(own, status=CallStatus.RUNNING.value, host=socket.gethostname())
    try:
        calls.filter(is_releasing=False).update(is_releasing=True)
    finally:
        connections[alias].close()


@cache
def _worker_of(pid: int) -> _Worker:
    """Return the worker of this process; a forked copy of it makes its own."""
    return _Worker()


class _Worker:
    """Holds what the calls of one process share: the lock that shows that it lives, and the server of its processes.

    Several threads may run calls at the same time.
    """

    def __init__(self) -> None:
        self._spawner = Spawner(can_be_set_up=isolation.can_be_set_up())
        self._commands: set[str] = set()
        self._checks: dict[str, PassedChecks] = {}
        self._lock: HeldLock | None = None
        self._token = ""
        self._guard = threading.RLock()

    def run(self, call_id: str, *, ends_at_signal: bool) -> None:
        alias = conf.journal_alias()
        connection = JournalConnection(alias)
        found = connection.execute(lambda is_repeated: statements.select(Call, {"id": call_id}, using=alias))
        if not found or found[0].status != CallStatus.QUEUED:
            return
        (call,) = found
        if connections[alias].in_atomic_block:
            raise RunbookError("a call cannot run inside a transaction of its worker, which no other process sees")
        if versions.is_refused(call):
            # Its run sends it again later, since another worker may have the same code.
            connection.execute(lambda is_repeated: call.refuse(versions.own_version(), using=alias))
            return
        lock, worker = self._hold_lock()
        claim, content = uuid.uuid4().hex, CallContent.of(call)
        try:
            if not self._claim(call, claim, worker=worker, connection=connection):
                return
            self._prepare(call.command)
            ClaimedCall(
                call=call,
                content=content,
                connection=connection,
                spawner=self._spawner,
                checks=self._checks_of(call.run_id),
                lock=lock,
                ends_at_signal=ends_at_signal,
            ).run()
        except BaseException:
            # The row says "running", or may say so after a claim whose answer was lost: as long as this worker holds
            # its lock, the run would wait.
            self._give_up(lock)
            raise

    def _prepare(self, command: str) -> None:
        """Have the server import a command before its first call; answers to more requests would fill the socket."""
        with self._guard:
            if command not in self._commands:
                self._commands.add(command)
                self._spawner.prepare(sorted(self._commands))

    def _checks_of(self, run_id: str) -> PassedChecks:
        """Return the system checks that have passed in calls of this run; those of the run before are forgotten."""
        with self._guard:
            if run_id not in self._checks:
                self._checks = {run_id: PassedChecks()}
            return self._checks[run_id]

    def _claim(self, call: Call, claim: str, *, worker: str, connection: JournalConnection) -> bool:
        alias = connection.alias

        def claim_once(is_repeated: bool) -> bool:  # noqa: FBT001 - as JournalConnection calls it
            hidden = NO_CONTENT if call.is_hidden else {}
            is_claimed = call.claim_for(
                claim,
                using=alias,
                worker=worker,
                host=socket.gethostname(),
                pid=os.getpid(),
                parent_pid=os.getppid(),
                is_releasing=False,
                **hidden,
            )
            # The answer to the first statement may have been lost.
            is_mine = is_repeated and Call.objects.using(alias).filter(pk=call.pk, claim=claim).exists()
            if is_mine:
                call.claim, call.status = claim, CallStatus.RUNNING.value
            return is_claimed or is_mine

        return connection.execute(claim_once)

    def _hold_lock(self) -> tuple[HeldLock, str]:
        """Return the lock of this worker, and its name; after a loss, the worker continues under another name."""
        with self._guard:
            if self._lock is not None and self._lock.is_lost:
                self._give_up(self._lock)
            if self._lock is None:
                self._token = uuid.uuid4().hex
                lock = locks.new_factory(conf.read(), what="a worker of calls")(worker_lock_name(self._token))
                holder = lock.acquire()
                if holder is not None:
                    raise LockHeld(f'the lock "{lock.name}" is held by {holder}')
                self._lock = held_locks.hold(lock, namespace=namespace.host_namespace(), on_retaken=lambda: None)
            return self._lock, self._token

    def _give_up(self, lock: HeldLock) -> None:
        """Release the lock, which ends the calls of other threads under it."""
        with self._guard:
            if lock is self._lock:
                self._lock = None
                lock.is_lost = True
                lock.close()
