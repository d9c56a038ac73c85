"""Decides whether a call continues an existing checkpoint, resets it, or starts the work over."""

from __future__ import annotations

from collections.abc import Sequence

from django.core.management.base import CommandError

from django_runbook.batch.core.call_keys import is_same_call, is_same_loop
from django_runbook.batch.core.store import Bounds, Identity
from django_runbook.models.checkpoints import Checkpoint


def choose_checkpoint(
    rows: Sequence[Checkpoint], identity: Identity, *, restart: bool
) -> tuple[Checkpoint | None, bool]:
    """Return the checkpoint to resume, None to start all of the work over, and whether it is reset to its start.

    A finished checkpoint that is not reset, which may be that of another shard, means that nothing is left to do.
    """
    mine = next((row for row in rows if row.shard == identity.shard), None)
    has_joined = _has_joined(rows, identity)
    if rows and mine is None:
        _refuse_other_split(rows, identity, restart=restart and not has_joined)
    # An interrupted call has already started over.
    is_restart = restart and not _has_begun(rows, mine, identity)
    if not is_restart:
        _refuse_other_key(rows, identity)
    if is_restart and len(rows) == 1:
        return None, True
    if any(row.finished_at is None for row in rows):
        return mine, is_restart
    # All shards have finished: either what this call or its loop has joined, or the work before.
    if not has_joined:
        return None, is_restart
    if mine is None and not is_restart:
        # The work had other shards when it finished.
        return rows[0], False
    return mine, is_restart


def new_upper(row: Checkpoint, bounds: Bounds) -> str:
    """Return the end of a shard that is reset while others run: the last shard includes rows that were added since."""
    number, _, count = row.shard.partition("/")
    return bounds()[-1].upper if number == count else row.upper


def _is_same_key(row: Checkpoint, identity: Identity) -> bool:
    return bool(row.key_digest) and row.key_digest == identity.key_digest


def _has_begun(rows: Sequence[Checkpoint], mine: Checkpoint | None, identity: Identity) -> bool:
    if identity.run_key:
        return mine is not None and _is_same_key(mine, identity)
    return is_same_call(rows, identity)


def _has_joined(rows: Sequence[Checkpoint], identity: Identity) -> bool:
    # Work under another key is never that of this call.
    own = [row for row in rows if not identity.run_key or _is_same_key(row, identity)]
    return is_same_call(own, identity) or is_same_loop(own, identity)


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
