"""Defines what the queue executor needs from a task engine."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol


class Engine(Protocol):
    """Sends the ids of calls to workers, which pass each to `django_runbook.queues.worker.run_call`.

    Only `send` and `count_workers` connect to anything. A message may arrive twice, late or never: the
    claim of a call decides.
    """

    @property
    def name(self) -> str:
        """Return the name of the engine, for people."""

    @property
    def queues(self) -> Collection[str] | None:
        """Return the names of the queues that exist; None if a queue exists once it is named."""

    @property
    def problem(self) -> str:
        """Return why no worker would ever get a call; empty if workers may get it."""

    @property
    def local_reason(self) -> str:
        """Return why the engine runs a task in the process that sends it; empty if workers run it."""

    def count_workers(self, queue: str) -> int | None:
        """Return how many processes work on a queue now; None if the engine does not know. May raise any exception."""

    def send(self, call_id: str, *, queue: str) -> None:
        """Send the id of a call to a queue; any exception means that it may not have been sent."""
