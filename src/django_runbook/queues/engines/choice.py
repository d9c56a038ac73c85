"""Chooses the task engine of the project from the setting ``RUNBOOK["QUEUE"]``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from importlib.util import find_spec
from typing import Any, Final

from django.utils.module_loading import import_string

from django_runbook.conf import Configuration
from django_runbook.document.similar_names import nearest
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
    return _made(name, options)


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


def _made(name: str, options: Mapping[str, object]) -> Engine:
    factory = _load(name)
    try:
        inspect.signature(factory).bind(**options)
    except TypeError as error:
        raise InvalidUsage(f'RUNBOOK["QUEUE"]: the OPTIONS do not fit "{name}": {error}') from error
    engine: Engine = factory(**options)
    return engine


def _load(name: str) -> Callable[..., Any]:
    if "." not in name and name not in ENGINES:
        names = ("auto", *ENGINES)
        near = nearest(name, names)
        hint = f'did you mean "{near}"?' if near else f"there are: {', '.join(names)}, and import paths"
        raise InvalidUsage(f'RUNBOOK["QUEUE"]: there is no engine "{name}"; {hint}')
    try:
        factory: Callable[..., Any] = import_string(ENGINES.get(name, name))
    except ImportError as error:
        raise InvalidUsage(f'RUNBOOK["QUEUE"]: the engine "{name}" cannot be imported: {error}') from error
    if not callable(factory):
        raise InvalidUsage(f'RUNBOOK["QUEUE"]: "{name}" is not an engine: it cannot be called')
    return factory
