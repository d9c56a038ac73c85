"""Keeps in a checkpoint which calls of runners have joined its work."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from django_runbook.batch.core.store import Identity
from django_runbook.models.checkpoints import Checkpoint

_MAX_EARLIER: Final = 20
# The last item number in the ID of a step; the number of a call may follow it.
_ITEM: Final = re.compile(r"\d+\](?=(?::\d+)?\Z)")


def with_call(rows: Sequence[Checkpoint], call_key: str) -> dict[str, str]:
    """Return the call keys of a checkpoint that replaces these and that this call joins; the call may have no key."""
    newest, *earlier = dict.fromkeys([*filter(None, [call_key]), *_calls_of(rows)]) or [""]
    return {"call_key": newest, "earlier_calls": "\n".join(earlier[:_MAX_EARLIER])}


def is_same_call(rows: Sequence[Checkpoint], identity: Identity) -> bool:
    """Return whether the same call of a runner has joined this work, or work before it."""
    return bool(identity.call_key) and identity.call_key in _calls_of(rows)


def is_same_loop(rows: Sequence[Checkpoint], identity: Identity) -> bool:
    """Return whether another call of the same loop over shards has joined this work, or work before it."""
    if not (identity.shard and identity.call_key):
        return False
    loop = _ITEM.sub("", identity.call_key)
    return any(_ITEM.sub("", key) == loop for key in _calls_of([row for row in rows if row.shard]))


def _calls_of(rows: Sequence[Checkpoint]) -> list[str]:
    return [key for row in rows if row.call_key for key in (row.call_key, *row.earlier_calls.splitlines())]
