"""Writes the checkpoints of all shards when work starts over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.db import connections
from django.utils import timezone

from django_runbook.batch.core.call_keys import with_call
from django_runbook.batch.core.failed_rows import FailedRowStore
from django_runbook.batch.core.finished_keys import finished_shards
from django_runbook.batch.core.store import Bounds, Identity, shard_count, shard_labels
from django_runbook.batch.core.timeouts import set_idle_timeout
from django_runbook.batch.core.work import ShardRange
from django_runbook.models.checkpoints import Checkpoint
from django_runbook.structs import Struct


class NewCheckpoints(Struct):
    """Replaces the checkpoints of earlier work by new ones.

    ``owner`` and ``holder`` are those of this process, which gets the checkpoint of its own shard. All checkpoints get
    ``run_keys``, the run key and its digest. ``idle_limit_seconds`` bounds how long the connection may be idle
    meantime; None if nothing is to be set.
    """

    identity: Identity
    alias: str
    owner: str
    holder: str
    run_keys: Mapping[str, str]
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
        labels = shard_labels(shard_count(self.identity.shard))
        # The calls of shards that no longer exist are kept in the first one.
        known = {label: [row for row in rows if row.shard == label] for label in labels}
        known[labels[0]] += [row for row in rows if row.shard not in known]
        # Another key has started the work over since: no call with this key can finish these shards again.
        finished = finished_shards(self.identity, alias=self.alias)

        def create(shard: str, part: ShardRange) -> Checkpoint:
            return self._create(shard, part, known=known[shard], is_finished=shard in finished)

        # Written before the bounds are known: other shards wait for this row, and do not compute the bounds too.
        first = create(labels[0], ShardRange(start="", upper=""))
        # A run from the start includes the failed rows.
        self.failed.all().delete()
        parts = bounds()
        first.upper, first.total_count = parts[0].upper, parts[0].total_count
        first.save(using=self.alias, update_fields=["upper", "total_count"])
        others = zip(labels[1:], parts[1:], strict=True)
        made = [first, *(create(shard, part) for shard, part in others)]
        (mine,) = (row for row in made if row.shard == self.identity.shard)
        return mine

    def _create(self, shard: str, part: ShardRange, *, known: Sequence[Checkpoint], is_finished: bool) -> Checkpoint:
        is_mine = shard == self.identity.shard
        return Checkpoint.objects.using(self.alias).create(
            scope=self.identity.scope,
            shard=shard,
            command=self.identity.command,
            description=self.description,
            # The shards of one run share a run key, but each has its own call.
            **self.run_keys,
            **with_call(known, self.identity.call_key if is_mine else ""),
            owner=self.owner if is_mine else "",
            holder=self.holder if is_mine else "nobody yet",
            start=part.start,
            cursor=part.start,
            upper=part.upper,
            total_count=part.total_count,
            finished_at=timezone.now() if is_finished else None,
        )
