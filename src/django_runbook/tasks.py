"""Registers the task that runs calls, in the module where Celery's `autodiscover_tasks` looks for it."""

from __future__ import annotations

from importlib.util import find_spec

if find_spec("celery") is not None:
    from django_runbook.queues.engines import celery_task  # noqa: F401 - the import registers it
