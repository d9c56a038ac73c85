"""Sends calls to the workers of a backend of Django's Tasks framework, or of its backport for Django 5.2."""

from __future__ import annotations

from collections.abc import Collection
from importlib import import_module
from typing import Any, Final

from django.utils.module_loading import import_string

# Made where it is first used: the framework validates it against the settings.
TASK: Final = "django_runbook.queues.engines.django_task.run_call"
_NAMES: Final = ("django.tasks", "django_tasks")


def framework() -> Any:
    """Return the module of the framework; raise ImportError without Django 6.0 and without the backport."""
    for name in _NAMES[:-1]:
        try:
            return import_module(name)
        except ModuleNotFoundError:
            continue
    return import_module(_NAMES[-1])


class TasksEngine:
    """Sends calls to the backend with this alias in the setting ``TASKS``."""

    def __init__(self, *, alias: str = "default") -> None:
        self._alias = alias

    @property
    def name(self) -> str:
        return f"tasks:{self._alias}"

    @property
    def queues(self) -> Collection[str] | None:
        # An empty list of QUEUES accepts every name.
        return frozenset(self._backend.queues) or None

    @property
    def problem(self) -> str:
        if _is_kind(self._backend, "DummyBackend"):
            return f'the backend "{self._alias}" of TASKS is the DummyBackend, which never runs a task'
        return ""

    @property
    def local_reason(self) -> str:
        if _is_kind(self._backend, "ImmediateBackend"):
            return f'the backend "{self._alias}" of TASKS is the ImmediateBackend'
        return ""

    def count_workers(self, queue: str) -> int | None:
        # The framework knows no workers.
        return None

    def send(self, call_id: str, *, queue: str) -> None:
        import_string(TASK).using(backend=self._alias, queue_name=queue).enqueue(call_id)

    @property
    def _backend(self) -> Any:
        return framework().task_backends[self._alias]


def is_for_workers(alias: str) -> bool:
    """Return whether the backend with this alias sends tasks to workers."""
    backend = framework().task_backends[alias]
    return not (_is_kind(backend, "DummyBackend") or _is_kind(backend, "ImmediateBackend"))


def _is_kind(backend: object, name: str) -> bool:
    """Return whether a backend is one of the framework's own, in Django or in the backport."""
    return any(
        kind.__name__ == name and kind.__module__.startswith(tuple(f"{one}." for one in _NAMES))
        for kind in type(backend).__mro__
    )
