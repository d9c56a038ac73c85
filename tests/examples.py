"""Scales how many random examples the tests of properties try."""

from __future__ import annotations

import os
from typing import Final

_FACTOR: Final = 20 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 1


def examples(count: int) -> int:
    """Return how many examples to try where each change tries this many: `make test-deep` tries more."""
    return count * _FACTOR
