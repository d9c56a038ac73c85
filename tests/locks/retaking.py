"""Ends the connection of a lock at each moment of the question whether the lock is still held."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import pytest

from django_runbook.locks.base import LockState
from django_runbook.locks.session import SessionLock

# The methods before which the server notices the end; None: it does not notice it by itself.
MOMENTS: Final = ("_ends_own", "_free", "_acquire", "_find_holder", None)


def assert_retaken(
    lock: SessionLock,
    moment: str | None,
    *,
    owner: Callable[[], object],
    end: Callable[[], object],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Assert that a lock is acquired again whose connection ends at this moment.

    ``owner`` returns the connection that holds the lock, or None, and ``end`` lets the server end it.
    """
    assert lock.acquire() is None
    before = owner()
    # The client knows that the connection is broken, and the server does not yet.
    broken = vars(lock)["_session"]
    monkeypatch.setattr(lock, "_is_broken", True)

    def ending(*arguments: Any) -> Any:
        if owner() == before:
            end()
        return original(*arguments)

    if moment is not None:
        original = getattr(lock, moment)
        monkeypatch.setattr(lock, moment, ending)
    states = [LockState.UNKNOWN]
    while states[-1] is LockState.UNKNOWN:
        states.append(lock.keep())
    broken.close()
    assert states[-1] is LockState.RETAKEN
    assert owner() not in {None, before}
    assert lock.keep() is LockState.HELD
