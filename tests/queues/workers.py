"""Starts a worker in a process that is a fork of one with Django set up.

The processes of its calls are forked from it as well, from servers that are forked while it has one thread and no
connection. A worker of its own project starts a fresh interpreter for that, which takes seconds.
"""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from django.core.management import execute_from_command_line

__all__ = ["celery_worker", "tasks_worker"]


def celery_worker(words: Sequence[str], *, pool: str = "prefork") -> None:
    """Run Celery's command line with the app of the tests."""
    from celery.signals import worker_process_init

    from tests.queues.celery_app import app

    warnings.simplefilter("ignore")
    if pool == "prefork":
        worker_process_init.connect(_fork_server)
    else:
        _fork_server()
    sys.exit(app.worker_main(list(words)))


def tasks_worker(words: Sequence[str]) -> None:
    """Run the command of a worker of Django's tasks."""
    warnings.simplefilter("ignore")
    _fork_server()
    execute_from_command_line(["manage.py", *words])


def _fork_server(**_: Any) -> None:
    from django_runbook.queues import worker

    worker._worker_of(os.getpid())._spawner.fork_server()
