"""Makes a project's Celery application, with a task that calls a runbook."""

from __future__ import annotations

import os
from typing import Any

import django
from celery import Celery

from tests.hosts.calling import call_runbook

django.setup()
app: Any = Celery("hosts", broker=os.environ["HOSTS_BROKER"])
# As projects have it that must not lose a message: one whose worker dies is delivered again.
app.conf.update(
    task_default_queue=os.environ["HOSTS_QUEUE"],
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
)
app.task(call_runbook, name="call_runbook")
