"""The processes of a test: which there are, and waiting, within bounds, until they are gone."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

PATIENCE_SECONDS = 20.0


def living() -> dict[int, tuple[int, int, str]]:
    """Each process that lives, with its parent, its group and its name."""
    # -w -w: whole command lines, by which a test may know them.
    listing = subprocess.run(
        ["ps", "-A", "-w", "-w", "-o", "pid=,ppid=,pgid=,state=,args="], stdout=subprocess.PIPE, text=True, check=True
    )
    found: dict[int, tuple[int, int, str]] = {}
    for line in listing.stdout.splitlines():
        pid, parent, group, state, *rest = line.split(None, 4)
        if state[0] not in "ZX":
            found[int(pid)] = int(parent), int(group), rest[0] if rest else ""
    return found


def of_groups(groups: set[int]) -> set[int]:
    """The processes in these groups, and those that have one of these numbers."""
    return {pid for pid, (_, group, _) in living().items() if group in groups or pid in groups}


def wait_until(is_so: Callable[[], bool], *, what: str) -> None:
    """Wait until something is so; a test that waits in vain fails."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if is_so():
            return
        time.sleep(0.05)
    raise AssertionError(f"in vain: {what}")
