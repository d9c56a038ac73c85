"""Records what the model expects: how steps end, which commands are called, and which events come in which order."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

FAILURES = frozenset(("failed", "timed_out"))
BASES = {"OperationalError": ("OperationalError", "DatabaseError"), "CommandError": ("CommandError",)}
TIMEOUT = (frozenset(("TimeoutError",)), 124)
# The names of an exception and of its bases, and the exit code; and all failures that may have been the first one.
Failure: TypeAlias = "tuple[frozenset[str], int]"
Failures: TypeAlias = "frozenset[Failure]"
NONE: Failures = frozenset()


class UndeterminedError(Exception):
    """Two outcomes are right, and they differ in more than the model can tell."""


@dataclass
class Clock:
    """The seconds that have passed in one branch."""

    now: float = 0


@dataclass
class Trace:
    """Events in their order, and traces of branches whose events may mix."""

    items: list[tuple[str, ...] | Together] = field(default_factory=list)


@dataclass
class Together:
    """Branches; of loose ones only the ids are known."""

    branches: list[Trace]
    is_loose: bool = False


@dataclass(frozen=True)
class Call:
    """A call of a command: the step and its place in the loops, what it did, how it was run, and what it may read."""

    step_id: str
    at: str
    act: str
    is_isolated: bool
    read: tuple[frozenset[str], ...]


@dataclass(frozen=True)
class Ended:
    """How a step, or the steps of a block, ended; ``is_cut`` where it ran out of the time of what is around it."""

    status: str
    failures: Failures = NONE
    ignored: bool = False
    attempts: int = 0
    failed_ids: frozenset[str] = frozenset()
    is_cut: bool = False

    @property
    def is_failure(self) -> bool:
        return self.status in FAILURES and not self.ignored


SUCCEEDED, SKIPPED, NOT_RUN = Ended("succeeded"), Ended("skipped"), Ended("not_run")
INTERRUPTED = Ended("interrupted")


def ids_of(together: Together) -> Iterator[str]:
    for trace in together.branches:
        for item in trace.items:
            if isinstance(item, Together):
                yield from ids_of(item)
            else:
                yield item[1]
