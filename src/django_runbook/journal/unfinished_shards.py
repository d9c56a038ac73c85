"""Finds the shards of work that earlier runs have left unfinished."""

from __future__ import annotations

from django.db import Error, router, transaction

from django_runbook.document.outline import key_of
from django_runbook.models import Run
from django_runbook.models.checkpoints import Checkpoint
from django_runbook.models.fields import to_db_text


def unfinished_shard_counts(runbook: str, *, using: str) -> dict[str, int]:
    """Return the number of shards of each step whose work is unfinished, by its key; ``using`` has the runs.

    Only the database that has checkpoints by default is read. Without tables, nothing is unfinished.
    """
    alias = router.db_for_read(Checkpoint)
    try:
        # In a savepoint: inside a transaction a failed statement would spoil it.
        with transaction.atomic(using=alias), transaction.atomic(using=using):
            return _read(to_db_text(runbook), alias=alias, using=using)
    except Error:
        # A database that is away is reported when the history is opened.
        return {}


def _read(runbook: str, *, alias: str, using: str) -> dict[str, int]:
    sharded = Checkpoint.objects.using(alias).exclude(shard="")
    unfinished = list(sharded.filter(finished_at=None).values_list("scope", flat=True).distinct())
    # The call of a shard that has not begun is unknown, but not that of the shard that made its checkpoint.
    begun = sharded.filter(scope__in=unfinished).exclude(call_key="").order_by("updated_at")
    found = [(*call_key.split(":")[:2], shard) for call_key, shard in begun.values_list("call_key", "shard")]
    runs = Run.objects.using(using).of(runbook).filter(pk__in={run_id for run_id, _, _ in found})
    known = set(runs.values_list("pk", flat=True))
    return {key_of(step_id): int(shard.partition("/")[2]) for run_id, step_id, shard in found if run_id in known}
