"""Defines the task that workers of Django's Tasks framework run."""

from __future__ import annotations

from typing import Any

from django_runbook import conf
from django_runbook.queues import worker
from django_runbook.queues.engines.django_tasks import framework


def _as_task() -> Any:
    """Return the function as a task: the framework checks its queue when it is made, so it gets one that exists."""
    alias = conf.tasks_alias()
    queues = sorted(framework().task_backends[alias].queues)
    return framework().task(backend=alias, queue_name=queues[0] if queues else "default")(_run_call)


def _run_call(call_id: str) -> None:
    worker.run_call(call_id)


# Workers find the task by the module and the name of its function.
_run_call.__name__ = _run_call.__qualname__ = "run_call"
run_call = _as_task()
