"""Scales how many random examples the tests of properties try."""

from __future__ import annotations

import os
from typing import Final

_FACTORS: Final = {"deep": 20.0, "fast": 0.2}
_FACTOR: Final = _FACTORS.get(os.environ.get("HYPOTHESIS_PROFILE", ""), 1.0)


def examples(count: int) -> int:
    """Return how many examples to try where each change tries this many: `make test-deep` tries more, and `make test-fast` fewer."""
    return max(1, round(count * _FACTOR))
