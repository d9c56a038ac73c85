"""Chooses the task engine of the project from the setting ``RUNBOOK["QUEUE"]``."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Final

from django_runbook.backend_loading import make_backend
from django_runbook.conf import Configuration
from django_runbook.exceptions import InvalidUsage
from django_runbook.queues.engines.base import Engine

ENGINES: Final = {
    "celery": "django_runbook.queues.engines.celery.CeleryEngine",
    "tasks": "django_runbook.queues.engines.django_tasks.TasksEngine",
}


def choose_engine(configuration: Configuration) -> Engine | None:
    """Return the engine of the project; None if it has none. Raise InvalidUsage if the setting is invalid."""
    name, options = configuration.queue.backend, configuration.queue.options
    if name == "auto":
        if options:
            raise InvalidUsage('RUNBOOK["QUEUE"]: "auto" has no OPTIONS; name the engine that they are for')
        return next(_found(), None)
    if name.startswith("tasks:"):
        name, options = "tasks", {"alias": name.partition(":")[2], **options}
    engine: Engine = make_backend(name, setting='RUNBOOK["QUEUE"]', kind="engine", known=ENGINES, options=options)
    return engine


def _found() -> Iterator[Engine]:
    """Yield the engines that the project has set up: Django's tasks if they go to workers, then Celery."""
    if _has_tasks():
        from django_runbook.queues.engines import django_tasks

        if django_tasks.is_for_workers("default"):
            yield django_tasks.TasksEngine()
    if find_spec("celery") is not None:
        from django_runbook.queues.engines.celery import CeleryEngine

        engine = CeleryEngine()
        if not engine.problem:
            yield engine


def _has_tasks() -> bool:
    from django.conf import settings

    return "default" in getattr(settings, "TASKS", {}) and any(
        find_spec(name) is not None for name in ("django.tasks", "django_tasks")
    )
