"""The garbage collector of a run: what is there before the first step is not looked through again and again."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def frozen_gc() -> Iterator[None]:
    """Keep what is alive now, Django above all, out of the collections of a run.

    The parsers that `call_command` builds are cyclic garbage, so a run of many steps collects often, and each full
    collection walks over all of Django (20 ms). Where the heap is frozen already, it is its owner's to thaw.
    """
    if gc.get_freeze_count():
        yield
        return
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()
