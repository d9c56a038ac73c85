"""Adds up the progress of the shards of a step."""

from __future__ import annotations

import threading

from django_runbook.structs import MutableStruct, Struct, field


class Counts(Struct, kw_only=False):
    """Holds how many rows are done, how many there are (None if unknown), and how many failed."""

    done: int
    total: int | None
    failed: int


class LoopProgress(MutableStruct):
    """Adds up the progress of ``count`` shards, those that this attempt of the run still has to do.

    Shards have about the same number of rows, so one that has not counted its rows counts with the average of the
    others.
    """

    count: int
    _seen: dict[str, Counts] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, step_id: str, counts: Counts) -> Counts:
        """Note the progress of one shard; return that of all."""
        with self._lock:
            self._seen[step_id] = counts
            seen = tuple(self._seen.values())
        totals = [one.total for one in seen if one.total is not None]
        total = round(sum(totals) * max(self.count, len(seen)) / len(totals)) if totals else None
        return Counts(done=sum(one.done for one in seen), total=total, failed=sum(one.failed for one in seen))
