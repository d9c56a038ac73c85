"""Writes the checkpoints of all shards when work starts over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db import connections

from django_runbook.batch.core.failed_rows import FailedRowStore
from django_runbook.batch.core.store import Bounds, Identity, shard_count, shard_labels
from django_runbook.batch.core.timeouts import set_idle_timeout
from django_runbook.batch.core.work import ShardRange
from django_runbook.checkpoints import Checkpoint
from django_runbook.structs import Struct


class NewCheckpoints(Struct):
    """Replaces the checkpoints of earlier work by new ones.

    ``owner`` and ``holder`` are those of this process, which gets the checkpoint of its own shard with ``keys``.
    ``idle_limit_seconds`` bounds how long the connection may be idle meantime; None if nothing is to be set.
    """

    identity: Identity
    alias: str
    owner: str
    holder: str
    keys: Mapping[str, str]
    description: str
    failed: FailedRowStore
    idle_limit_seconds: float | None

    def write(self, rows: Sequence[Checkpoint], bounds: Bounds) -> Checkpoint:
        """Delete the known rows and write a new one for each shard; return that of this process."""
        # The connection is idle for long only if the bounds are computed in another database.
        if self.idle_limit_seconds is not None and not connections[self.alias].savepoint_ids:
            set_idle_timeout(connections[self.alias], self.idle_limit_seconds)
        # Only the known rows: if another shard has started over in between, its rows violate the constraint.
        Checkpoint.objects.using(self.alias).filter(scope=self.identity.scope, pk__in=[row.pk for row in rows]).delete()
        call_keys = {row.shard: row.call_key for row in rows}
        labels = shard_labels(shard_count(self.identity.shard))
        # Written before the bounds are known: other shards wait for this row, and do not compute the bounds too.
        first = self._create(labels[0], ShardRange(start="", upper=""), call_keys)
        # A run from the start includes the failed rows.
        self.failed.all().delete()
        parts = bounds()
        first.upper, first.total_count = parts[0].upper, parts[0].total_count
        first.save(using=self.alias, update_fields=["upper", "total_count"])
        others = zip(labels[1:], parts[1:], strict=True)
        made = [first, *(self._create(shard, part, call_keys) for shard, part in others)]
        (mine,) = (row for row in made if row.shard == self.identity.shard)
        return mine

    def _create(self, shard: str, part: ShardRange, call_keys: Mapping[str, str]) -> Checkpoint:
        call_key = call_keys.get(shard, "")
        is_mine = shard == self.identity.shard
        # The shards of one run share a run key, but each has its own call.
        keys = {"call_key": call_key, **self.keys}
        if not is_mine:
            keys["call_key"] = call_key
        return Checkpoint.objects.using(self.alias).create(
            scope=self.identity.scope,
            shard=shard,
            command=self.identity.command,
            description=self.description,
            **keys,
            owner=self.owner if is_mine else "",
            holder=self.holder if is_mine else "nobody yet",
            start=part.start,
            cursor=part.start,
            upper=part.upper,
            total_count=part.total_count,
        )
