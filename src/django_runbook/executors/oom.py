"""Counts the kills of the out-of-memory killer, to distinguish them from other SIGKILLs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

# The whole machine (Linux 4.13 and later), and the container of this process (cgroup v2).
_SYSTEM: Final = Path("/proc/vmstat")
_CONTAINER: Final = Path("/sys/fs/cgroup/memory.events")
_COUNT: Final = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


def kill_counts(sources: tuple[Path, ...] = (_CONTAINER, _SYSTEM)) -> tuple[int, ...]:
    """Return the current counts; an unknown count is 0."""
    return tuple(_count(source) for source in sources)


def _count(source: Path) -> int:
    try:
        found = _COUNT.search(source.read_text())
    except OSError:
        return 0
    return int(found.group(1)) if found is not None else 0
