"""Provides Celery apps as projects have them; nothing connects to their brokers, and none is the current one."""

from __future__ import annotations

from celery import Celery


def _app() -> Celery:
    # The fixup for Django makes an app the default one of the process.
    return Celery("desk", broker="memory://", set_as_current=False, fixups=[])


two_queues = _app()
two_queues.conf.task_queues = {"default": {}, "heavy": {}}

eager = _app()
eager.conf.task_always_eager = True


# What Celery makes by itself for a project without an app.
fallback = Celery("default", set_as_current=False, fixups=[])
