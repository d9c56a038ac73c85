"""Closes the descriptors of locks in forked children.

Otherwise, a child that outlives a killed holder would keep the lock, and a child that exits would close the database
session of its parent.
"""

from __future__ import annotations

import os

# Fork hooks belong to the whole process and cannot be removed, so one hook serves all locks. The identity of each file
# is kept too: a command may close a descriptor, and its number may belong to another file later.
_KEPT: dict[int, tuple[int, int]] = {}


def close_in_children(descriptor: int) -> None:
    """Close this descriptor in children that are forked from now on."""
    _KEPT[descriptor] = _identity(descriptor)


def forget(descriptor: int) -> None:
    """Forget a descriptor that is about to be closed."""
    _KEPT.pop(descriptor, None)


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _close_all() -> None:
    if not _KEPT:
        return
    null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for descriptor, identity in _KEPT.items():
        try:
            is_kept = _identity(descriptor) == identity
        except OSError:
            continue
        if is_kept:
            os.dup2(null, descriptor, inheritable=False)
    os.close(null)
    _KEPT.clear()


os.register_at_fork(after_in_child=_close_all)
