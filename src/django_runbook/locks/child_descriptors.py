"""Descriptors that locks live by to a process that is forked, which loses them.

A child that outlives a killed holder would else keep the lock, and one that ends in order would say good-bye to the
server in the name of its parent.
"""

from __future__ import annotations

import os

# Python's hooks for a fork are those of the whole process and cannot be taken back: there is one, for all locks.
# The file behind each descriptor is kept too: whoever closes one behind our back frees its number for something else.
_KEPT: dict[int, tuple[int, int]] = {}


def close_in_children(descriptor: int) -> None:
    """From now on a child finds nothing behind this descriptor."""
    _KEPT[descriptor] = _identity(descriptor)


def forget(descriptor: int) -> None:
    """The descriptor is about to be closed."""
    _KEPT.pop(descriptor, None)


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _lose_all() -> None:
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


os.register_at_fork(after_in_child=_lose_all)
