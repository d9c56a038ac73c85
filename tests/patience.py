"""Scales the time limits of all tests by one variable, RUNBOOK_TEST_PATIENCE, for machines that are slow or loaded."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Final

FACTOR: Final = float(os.environ.get("RUNBOOK_TEST_PATIENCE", "1"))


def scaled(seconds: float) -> float:
    """Return the time that this machine needs for what takes a quiet machine this long."""
    return seconds * FACTOR


# A quiet machine needs less than a third of it for any test.
PATIENCE_SECONDS: Final = scaled(60)
# For the few tests that run a whole example, or many processes one after the other.
LONG_PATIENCE_SECONDS: Final = scaled(240)


def eventually(claim: Callable[[], object], *, within: float = PATIENCE_SECONDS, pause_seconds: float = 0.02) -> bool:
    """Wait until the claim is true; return whether it became true in time."""
    deadline = time.monotonic() + within
    while not claim():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause_seconds)
    return True


def wait_until(claim: Callable[[], object], *, what: str, pause_seconds: float = 0.02) -> None:
    """Wait until the claim is true, or fail with what did not come."""
    assert eventually(claim, pause_seconds=pause_seconds), f"timed out: {what}"
