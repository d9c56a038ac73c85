"""Finds out whether the calls of a project go to workers, and counts the worker processes of a queue."""

from __future__ import annotations

from django_runbook.conf import Configuration
from django_runbook.exceptions import InvalidUsage, in_words
from django_runbook.queues.engines.choice import choose_engine


def runs_on_sender(configuration: Configuration) -> bool:
    """Return whether the engine runs tasks in the process that sends them."""
    engine = choose_engine(configuration)
    return engine is not None and bool(engine.local_reason)


def count_workers(queue: str, configuration: Configuration) -> int | None:
    """Return how many processes work on a queue; None if the engine does not know, or there is none.

    Raise InvalidUsage if the workers cannot be asked.
    """
    if configuration.queue.workers is not None:
        return configuration.queue.workers
    engine = choose_engine(configuration)
    if engine is None or engine.problem or engine.local_reason:
        return None
    try:
        return engine.count_workers(queue)
    except Exception as error:
        raise InvalidUsage(
            f'"shards: auto" needs the number of workers of the queue "{queue}", and {engine.name} cannot be asked: '
            f'{in_words(error)}; write a number, or set RUNBOOK["QUEUE"]["WORKERS"]'
        ) from error
