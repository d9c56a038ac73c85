"""Keeps tasks as rows with leases, as queues in the cloud do: a task whose lease expires is delivered again."""

from __future__ import annotations

from typing import Any

from django_runbook.queues.engines.django_tasks import framework
from tests.queues.queueapp.models import LeasedTask

_base: Any = framework().backends.base.BaseTaskBackend


class LeaseBackend(_base):  # type: ignore[misc]  # the base is chosen at run time
    def enqueue(self, task: Any, args: Any, kwargs: Any) -> None:
        assert not kwargs
        LeasedTask._default_manager.create(path=task.module_path, arguments=list(args), queue=task.queue_name)
