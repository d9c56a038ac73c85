"""Names the locks of workers."""

from __future__ import annotations


def lock_name_of(worker: str) -> str:
    """Return the name of the lock that a worker holds while it lives."""
    return f"worker {worker}"
