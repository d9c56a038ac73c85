"""Sizes the next batch by the duration of the last ones."""

from __future__ import annotations

from typing import Final, Protocol

_FIRST: Final = 100
_LARGEST: Final = 10_000
_KEPT: Final = 0.75


class BatchSize(Protocol):
    """Chooses batch sizes from measured durations."""

    def next(self) -> int: ...

    def note(self, *, count: int, seconds: float) -> None: ...


class FixedSize:
    """Uses the same number of rows for each batch."""

    def __init__(self, count: int) -> None:
        self._count = count

    def next(self) -> int:
        return self._count

    def note(self, *, count: int, seconds: float) -> None:
        """Ignore the duration."""


class AdaptiveSize:
    """Fits batches to the target duration, by a decaying average of earlier batches.

    The size at most doubles, because a batch that is far too long holds its row locks that long. After a batch of more
    than twice the target, only that batch counts, so that the next one adapts to a database that has become slow.
    """

    def __init__(self, *, target_seconds: float, first: int = _FIRST, largest: int = _LARGEST) -> None:
        self._target_seconds = target_seconds
        self._size = first
        self._largest = largest
        self._count = 0.0
        self._seconds = 0.0

    def next(self) -> int:
        return self._size

    def note(self, *, count: int, seconds: float) -> None:
        """Add a batch to the average; a shortened batch, such as the last one, is ignored."""
        if count < self._size:
            return
        kept = 0.0 if seconds > 2 * self._target_seconds else _KEPT
        self._count = kept * self._count + count
        self._seconds = kept * self._seconds + max(seconds, 1e-6)
        fitting = self._count / self._seconds * self._target_seconds
        self._size = max(1, min(self._largest, 2 * self._size, round(fitting)))
