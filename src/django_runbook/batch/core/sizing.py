"""How long the last batches took to how many rows the next one gets."""

from __future__ import annotations

from typing import Final, Protocol

_FIRST: Final = 100
_LARGEST: Final = 10_000
_KEPT: Final = 0.75


class BatchSize(Protocol):
    """Says how large the next batch is to be, and is told what a batch took."""

    def next(self) -> int: ...

    def note(self, *, count: int, seconds: float) -> None: ...


class FixedSize:
    """The same number of rows each time."""

    def __init__(self, count: int) -> None:
        self._count = count

    def next(self) -> int:
        return self._count

    def note(self, *, count: int, seconds: float) -> None:
        """What a batch took changes nothing."""


class AdaptiveSize:
    """As many rows as take the target time, by a decaying average of the batches so far.

    It grows twofold at most, since a batch that is much too long holds its row locks as long; after one of more than
    twice the target only that one counts, so that a database that has become slow is met by the next batch.
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
        """Take a batch into account; one that was cut short, by the end of the rows say, tells nothing."""
        if count < self._size:
            return
        kept = 0.0 if seconds > 2 * self._target_seconds else _KEPT
        self._count = kept * self._count + count
        self._seconds = kept * self._seconds + max(seconds, 1e-6)
        fitting = self._count / self._seconds * self._target_seconds
        self._size = max(1, min(self._largest, 2 * self._size, round(fitting)))
