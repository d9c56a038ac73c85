"""A statement outside of a transaction to its answer, also while the database is away for a moment."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from django.db import DatabaseError, InterfaceError, connections

from django_runbook.batch.core.error_kinds import Kind, classify

T = TypeVar("T")
RETRIES: Final = 3
_FIRST_DELAY_SECONDS: Final = 0.1


def delay_seconds(failure_count: int) -> float:
    """How long to wait after so many failures in a row; not the same for all who failed at the same moment."""
    return float(_FIRST_DELAY_SECONDS * 3**failure_count * random.uniform(0.5, 1.5))


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Asks again after a transient error, on a new connection; only for what may be asked twice."""

    alias: str
    wait: Callable[[float], bool]

    def ask(self, call: Callable[[], T]) -> T:
        """The answer of a call."""
        for failure_count in range(1, RETRIES + 1):
            try:
                return call()
            except (DatabaseError, InterfaceError) as error:
                connection = connections[self.alias]
                if classify(error) is not Kind.TRANSIENT or connection.in_atomic_block:
                    raise
                # Outside of a transaction Django keeps a connection that is broken.
                connection.close()
                self.wait(delay_seconds(failure_count))
        return call()
