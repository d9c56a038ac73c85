"""Retries statements outside a transaction while the database is briefly unavailable."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, TypeVar

from django.db import DatabaseError, InterfaceError, connections

from django_runbook.batch.core.error_kinds import ErrorKind, classify
from django_runbook.structs import Struct

T = TypeVar("T")
RETRIES: Final = 3
_FIRST_DELAY_SECONDS: Final = 0.1


def delay_seconds(failure_count: int) -> float:
    """Return how long to wait after consecutive failures, with jitter for processes that failed together."""
    return float(_FIRST_DELAY_SECONDS * 3**failure_count * random.uniform(0.5, 1.5))


class TransientRetry(Struct):
    """Calls a function again after a transient error, on a new connection; the function must be safe to repeat."""

    alias: str
    wait: Callable[[float], bool]

    def call(self, function: Callable[[], T]) -> T:
        """Return the result of the function."""
        for failure_count in range(1, RETRIES + 1):
            try:
                return function()
            except (DatabaseError, InterfaceError) as error:
                connection = connections[self.alias]
                if classify(error) is not ErrorKind.TRANSIENT or connection.in_atomic_block:
                    raise
                # Outside a transaction Django keeps a broken connection.
                connection.close()
                self.wait(delay_seconds(failure_count))
        return function()
