"""Selects and counts calls by their displayed status: a call that says running, but whose worker died, is dead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from django.db.models import Case, CharField, Count, Exists, F, OuterRef, Q, QuerySet, Value, When

from django_runbook.locks.base import Probe
from django_runbook.locks.factory import Locks
from django_runbook.models import RUNNING, UNFINISHED
from django_runbook.models.calls import Call, CallStatus
from django_runbook.queues.call_liveness import probe_worker
from django_runbook.structs import Struct

UNSETTLED: Final = (CallStatus.QUEUED.value, CallStatus.RUNNING.value, CallStatus.DEAD.value)
ENDED: Final = (CallStatus.DONE.value, CallStatus.CANCELLED.value)


def unsettled(calls: QuerySet[Call]) -> QuerySet[Call]:
    """Keep the calls that are queued or running, and the dead ones that nothing has followed.

    A dead call is settled once its step was called again, or its run has ended and cannot be resumed.
    """
    same_step = Call.objects.using(calls.db).filter(run=OuterRef("run"), step_id=OuterRef("step_id"))
    is_later = Q(attempt__gt=OuterRef("attempt")) | Q(attempt=OuterRef("attempt"), number__gt=OuterRef("number"))
    is_last = ~Exists(same_step.filter(is_later))
    is_settled = Q(status=CallStatus.DEAD.value) & ~(Q(run__status__in=(RUNNING, *UNFINISHED)) & Q(is_last))
    # The first condition is redundant, and has an index.
    return calls.filter(status__in=UNSETTLED).exclude(is_settled)


class CallList(Struct):
    """Holds the calls whose displayed status is one of ``statuses``."""

    calls: QuerySet[Call]
    dead_workers: Sequence[str]
    statuses: Sequence[str]

    def newest(self, limit: int) -> list[tuple[Call, str]]:
        """Return the newest calls with their runs, each with its displayed status."""
        selected = self.calls.annotate(displayed=self._displayed).filter(displayed__in=self.statuses)
        ordered = selected.select_related("run").order_by("-queued_at", "pk")
        return [(call, call.displayed) for call in ordered.defer("tokens", "process", "result")[:limit]]

    def counts(self, *, queues: Iterable[str]) -> dict[str, dict[str, int]]:
        """Count the calls by queue and status; ``queues`` are listed even without calls."""
        selected = self.calls.annotate(displayed=self._displayed).filter(displayed__in=self.statuses)
        rows = selected.order_by("queue").values_list("queue", "displayed").annotate(count=Count("pk"))
        counts = {queue: dict.fromkeys(self.statuses, 0) for queue in queues}
        for queue, status, count in rows:
            counts.setdefault(queue, dict.fromkeys(self.statuses, 0))[status] = count
        return counts

    @property
    def _displayed(self) -> Case:
        is_dead = When(status=CallStatus.RUNNING.value, worker__in=self.dead_workers, then=Value(CallStatus.DEAD.value))
        return Case(is_dead, default=F("status"), output_field=CharField())


def list_calls(calls: QuerySet[Call], locks: Locks, *, statuses: Sequence[str]) -> CallList:
    """Probe the lock of each worker of a running call, and return the calls with these statuses."""
    running = calls.filter(status=CallStatus.RUNNING.value).order_by()
    workers = list(running.values_list("worker", flat=True).distinct())
    # The statuses are read after the probes: a call that has ended since then is not dead.
    dead = [worker for worker in workers if probe_worker(worker, locks) is Probe.FREE]
    return CallList(calls=calls, dead_workers=dead, statuses=statuses)
