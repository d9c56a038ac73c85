"""Remembers the run keys under which work has finished."""

from __future__ import annotations

from django.core.management.base import CommandError

from django_runbook.batch.core.store import Identity, shard_count, shard_labels
from django_runbook.models.checkpoints import Checkpoint, FinishedKey


def find_finished(identity: Identity, *, alias: str) -> FinishedKey | None:
    """Return the record of work that has finished under this run key; raises CommandError if other shards began it."""
    known = finished_shards(identity, alias=alias)
    if identity.shard in known:
        return known[identity.shard]
    splits = {shard_count(shard) for shard in known} - {shard_count(identity.shard)}
    for count in splits:
        if all(shard in known for shard in shard_labels(count)):
            return known[shard_labels(count)[0]]
    if splits:
        raise CommandError(
            f"{identity.command} is unfinished under this run key with other shards ({', '.join(known)} "
            "finished); finish it with those"
        )
    return None


def finished_shards(identity: Identity, *, alias: str) -> dict[str, FinishedKey]:
    """Return the records of this run key by shard; none without a run key."""
    if not identity.run_key:
        return {}
    rows = FinishedKey.objects.using(alias).filter(scope=identity.scope, key_digest=identity.key_digest)
    return {row.shard: row for row in rows}


def remember_key(row: Checkpoint, *, alias: str) -> None:
    """Remember the run key of finished work, which may be the key of an earlier call that was continued without one."""
    if row.key_digest:
        FinishedKey.objects.using(alias).get_or_create(
            scope=row.scope,
            key_digest=row.key_digest,
            shard=row.shard,
            defaults={
                "command": row.command,
                "run_key": row.run_key,
                "done_count": row.done_count,
                "failed_count": row.failed_count,
            },
        )
