"""The task of a bare round trip: it does nothing, and its result is that of the engine."""

from __future__ import annotations

from celery import shared_task
from django.conf import settings

from django_runbook.queues.engines.django_tasks import framework


@shared_task(name="benchmarks.nothing")  # type: ignore[untyped-decorator]  # Celery has no types
def nothing() -> None:
    """Do nothing."""


def _nothing() -> None:
    """Do nothing."""


_nothing.__name__ = _nothing.__qualname__ = "django_nothing"
django_nothing = framework().task(queue_name=settings.TASKS["default"]["QUEUES"][-1])(_nothing)
