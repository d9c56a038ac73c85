"""Puts the parts together that run the calls of one run on workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from django_runbook import conf
from django_runbook.cleaning import Mask
from django_runbook.journal.connection import JournalConnection
from django_runbook.locks.factory import Locks
from django_runbook.queues.call_liveness import CallLiveness
from django_runbook.queues.call_monitor import CallMonitor
from django_runbook.queues.engines.choice import choose_engine
from django_runbook.queues.message_sender import MessageSender
from django_runbook.queues.queue_executor import QueueExecutor
from django_runbook.queues.refused_calls import RefusedCalls


def new_queue_executor(
    *,
    run_id: str,
    new_lock: Locks,
    grace_seconds: float,
    mask: Mask,
    secrets: Mapping[str, str],
    warn: Callable[[str], None],
) -> QueueExecutor | None:
    """Return what calls commands on workers; None if the engine runs tasks in the process that sends them."""
    configuration = conf.read()
    engine = choose_engine(configuration)
    if engine is None or engine.local_reason:
        return None

    def warn_of_outage(reason: str) -> None:
        warn(f"the message of a call could not be sent, and is sent again: {reason}")

    queue = configuration.queue
    monitor = CallMonitor(
        run_id=run_id,
        connection=JournalConnection(conf.journal_alias()),
        sender=MessageSender(engine=engine, resend_seconds=queue.resend_seconds, on_failure=warn_of_outage),
        liveness=CallLiveness(new_lock),
        refused=RefusedCalls(wait_seconds=queue.version_wait_seconds, on_first=warn),
    )
    return QueueExecutor(
        run_id=run_id,
        engine=engine,
        monitor=monitor,
        mask=mask,
        secrets=secrets,
        grace_seconds=grace_seconds,
    )
