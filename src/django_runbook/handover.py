"""Passes items from any thread to one thread, and keeps to its timeouts when signals arrive.

The queues of Python do one of the two. ``queue.SimpleQueue.get`` waits forever before Python 3.13 if a signal arrives
and its handler returns after the timeout, which then counts as none. ``queue.Queue.put`` keeps its lock if a signal
handler raises in it, and the next thread waits for that lock forever.
"""

from __future__ import annotations

import contextlib
import math
import queue
import threading
import time
from typing import Final, Generic, TypeVar

_Item = TypeVar("_Item")
# A signal handler that raises in `put` may keep it from waking the thread that gets the item.
_CHECK_SECONDS: Final = 1.0


class Handover(Generic[_Item]):
    """Passes items on in their order; any thread may put them, and one thread gets them."""

    def __init__(self) -> None:
        self._items: queue.SimpleQueue[_Item] = queue.SimpleQueue()  # noqa: TID251 - it never waits here
        # Free means that an item may be there.
        self._may_check = threading.Lock()

    def put(self, item: _Item) -> None:
        """Add an item; never wait."""
        self._items.put(item)
        with contextlib.suppress(RuntimeError):
            self._may_check.release()

    def get(self, timeout_seconds: float | None = None) -> _Item:
        """Return the next item; raise `queue.Empty` if none has come before the timeout."""
        until = math.inf if timeout_seconds is None else time.monotonic() + timeout_seconds
        while True:
            with contextlib.suppress(queue.Empty):
                return self._items.get_nowait()
            left_seconds = until - time.monotonic()
            if left_seconds <= 0:
                raise queue.Empty
            self._may_check.acquire(timeout=min(left_seconds, _CHECK_SECONDS))

    def count(self) -> int:
        """Return the number of items that wait."""
        return self._items.qsize()
