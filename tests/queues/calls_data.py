"""Stores calls for tests, without a worker."""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from django.utils import timezone

from django_runbook import conf
from django_runbook.locks import factory
from django_runbook.locks.base import Lock
from django_runbook.models import Run
from django_runbook.models.calls import Call, worker_lock_name


def add_call(run: Run, step_id: str = "one", *, age_seconds: float = 0, **columns: Any) -> Call:
    at = timezone.now() - datetime.timedelta(seconds=age_seconds)
    values = {"engine": "celery", "queue": "heavy", "command": "noop", "attempt": 1, "queued_at": at}
    if columns.get("status", "queued") not in {"queued", "cancelled"}:
        values |= {"host": "desk-2", "pid": 7, "worker": "w", "claim": "c", "claimed_at": at}
    return Call.objects.create(id=uuid.uuid4().hex, run=run, step_id=step_id, **{**values, **columns})


def worker_lock(worker: str) -> Lock:
    """Return the lock of a worker, which has existed before."""
    lock = factory.new_factory(conf.read(), what="a worker of calls")(worker_lock_name(worker))
    lock.acquire()
    lock.release()
    return lock
