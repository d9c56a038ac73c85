"""Decides whether a call continues an existing checkpoint, resets it, or starts the work over."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.management.base import CommandError

from django_runbook.batch.core.store import Bounds, Identity
from django_runbook.checkpoints import Checkpoint


def choose_checkpoint(
    rows: Sequence[Checkpoint], identity: Identity, *, restart: bool
) -> tuple[Checkpoint | None, bool]:
    """Return the checkpoint to resume, None to start all of the work over, and whether it is reset to its start."""
    mine = next((row for row in rows if row.shard == identity.shard), None)
    if rows and mine is None:
        _refuse_other_split(rows, identity, restart=restart)
    is_same = mine is not None and is_same_call(mine, identity)
    # An interrupted call has already started over.
    is_restart = restart and not (is_same or (mine is not None and _is_same_key(mine, identity)))
    if not is_restart:
        _refuse_other_key(rows, identity)
    is_new = _is_new_run(rows, is_same_call=is_same, restart=is_restart)
    return None if is_new else mine, is_restart


def is_same_call(row: Checkpoint, identity: Identity) -> bool:
    """Return whether the same call of a runner wrote the checkpoint."""
    return bool(row.call_key) and row.call_key == identity.call_key


def new_upper(row: Checkpoint, bounds: Bounds) -> str:
    """Return the end of a shard that is reset while others run: the last shard includes rows that were added since."""
    number, _, count = row.shard.partition("/")
    return bounds()[-1].upper if number == count else row.upper


def _is_same_key(row: Checkpoint, identity: Identity) -> bool:
    return bool(row.key_digest) and row.key_digest == identity.key_digest


def _is_new_run(rows: Sequence[Checkpoint], *, is_same_call: bool, restart: bool) -> bool:
    if restart and len(rows) == 1:
        return True
    return all(row.finished_at is not None for row in rows) and not is_same_call


def _refuse_other_key(rows: Sequence[Checkpoint], identity: Identity) -> None:
    # Continued under another key, a part of the work would be done for neither key.
    if not identity.run_key:
        return
    others = [row for row in rows if row.finished_at is None and not _is_same_key(row, identity)]
    if others:
        key = others[0].run_key
        started = f'--run-key "{key}"' if key else "no --run-key"
        raise CommandError(
            f"{identity.command} is unfinished and was started with {started}; finish it "
            f"{'with that key' if key else 'without a key'}, or start over with --restart"
        )


def _refuse_other_split(rows: Sequence[Checkpoint], identity: Identity, *, restart: bool) -> None:
    if restart or all(row.finished_at is not None for row in rows):
        return
    shards = ", ".join(row.shard or "one without --shard" for row in rows if row.finished_at is None)
    raise CommandError(
        f"{identity.command} is unfinished with other shards ({shards}); "
        "finish it with those, or start over with --restart"
    )
