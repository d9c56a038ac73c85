"""Defines the task of Celery workers, and asks their calls to stop when a worker shuts down."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import Any, Final

from billiard import current_process
from celery import shared_task
from celery.signals import worker_shutting_down
from django.db import Error

from django_runbook.queues import worker
from django_runbook.queues.engines.celery import TASK_NAME

_RELEASE_SECONDS: Final = 1.0
_LOGGER: Final = logging.getLogger(__name__)


# Celery has no types, so its decorators are untyped.
# A claim makes a repeated message harmless, and a lost one is sent again: nothing is left to the broker.
@shared_task(name=TASK_NAME, ignore_result=True, acks_late=False, reject_on_worker_lost=False, max_retries=0)  # type: ignore[untyped-decorator]  # Celery has no types
def run_call(call_id: str) -> None:
    """Run one call; its result is stored in its row."""
    # A pool signals its children at a cold shutdown only.
    worker.run_call(call_id, ends_at_signal=current_process().daemon)


@worker_shutting_down.connect  # type: ignore[untyped-decorator]  # as above
def _release_calls(**_: Any) -> None:
    # Celery tells only its main process, inside a signal handler: the database is asked from another thread.
    threading.Thread(target=_keep_releasing, args=(os.getpid(),), name="runbook-release", daemon=True).start()


def _keep_releasing(pid: int) -> None:
    """Release calls until the process ends: a child may take one more, which it had received before."""
    while True:
        try:
            worker.release_calls_of(pid)
        except Error as error:
            _LOGGER.warning("the calls of this worker cannot be returned to their queue yet: %s", error)
        time.sleep(_RELEASE_SECONDS)
