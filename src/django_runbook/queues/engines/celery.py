"""Sends calls to Celery workers."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

TASK_NAME: Final = "django_runbook.run_call"
# Time limits of the project are for tasks that can be repeated; the timeout of the step is the limit of a call.
_NO_LIMIT_SECONDS: Final = 10 * 365 * 86_400
# Workers that have not answered by then are not counted.
_ANSWER_SECONDS: Final = 1.0


class CeleryEngine:
    """Sends calls with the Celery app of the project, or with the one at the import path ``app``."""

    def __init__(self, *, app: str = "") -> None:
        self._path = app

    @property
    def name(self) -> str:
        return "celery"

    @property
    def queues(self) -> Collection[str] | None:
        conf = self._app.conf
        if conf.task_create_missing_queues and not conf.task_queues:
            return None
        return frozenset(self._app.amqp.queues)

    @property
    def problem(self) -> str:
        return "" if is_configured(self._app) else "Celery has no app in this project"

    @property
    def local_reason(self) -> str:
        return "CELERY_TASK_ALWAYS_EAGER is on" if self._app.conf.task_always_eager else ""

    def count_workers(self, queue: str) -> int | None:
        inspect = self._app.control.inspect(timeout=_ANSWER_SECONDS)
        consumed = inspect.active_queues() or {}
        names = [name for name, queues in consumed.items() if any(one["name"] == queue for one in queues)]
        stats = inspect.stats() or {} if names else {}
        return sum(int(stats[name]["pool"]["max-concurrency"]) for name in names if name in stats)

    def send(self, call_id: str, *, queue: str) -> None:
        self._app.send_task(
            TASK_NAME,
            args=[call_id],
            queue=queue,
            ignore_result=True,
            time_limit=_NO_LIMIT_SECONDS,
            soft_time_limit=_NO_LIMIT_SECONDS,
        )

    @property
    def _app(self) -> Any:
        if self._path:
            from django.utils.module_loading import import_string

            return import_string(self._path)
        from celery import current_app

        return current_app._get_current_object()


def is_configured(app: Any) -> bool:
    """Return whether a project made this app; without one, Celery makes its own."""
    return app.main != "default" or bool(app.conf.broker_url)
