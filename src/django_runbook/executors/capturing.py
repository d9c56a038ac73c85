"""Reads captured output into a value for expressions."""

from __future__ import annotations

import itertools
import json
from typing import Any, Final

# Expressions and the journal walk captured values recursively.
MAX_DEPTH: Final = 100


def read_output(stdout: str, capture: str | None) -> Any:
    """Return the output as ``capture`` asks; raises ValueError, and RecursionError if JSON is nested too deeply."""
    match capture:
        case "text":
            return stdout.rstrip("\r\n")
        case "lines":
            return stdout.splitlines()
        case "json":
            # Some programs begin a UTF-8 text with a byte order mark.
            value = json.loads(stdout.removeprefix("\ufeff"))
            if _is_deeper(value, MAX_DEPTH):
                raise RecursionError
            return value
    return None


def _is_deeper(value: object, depth: int) -> bool:
    # Level by level, since recursion would fail on the values that this refuses.
    level: list[Any] = [value]
    for _ in range(depth + 1):
        inside = [one.values() if isinstance(one, dict) else one for one in level if isinstance(one, dict | list)]
        if not inside:
            return False
        level = list(itertools.chain.from_iterable(inside))
    return True
