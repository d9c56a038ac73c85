"""Finds the processes of a test, and waits for their end."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

PATIENCE_SECONDS = 20.0


def living() -> dict[int, tuple[int, int, str]]:
    """Return each living process with its parent, group and name."""
    # -w -w: complete command lines, by which tests identify processes.
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
    """Return the processes in these groups, and those with these numbers."""
    return {pid for pid, (_, group, _) in living().items() if group in groups or pid in groups}


def marked(mark: str) -> list[str]:
    """Return the living processes with this text in their environment, and those that they forked."""
    if not Path("/proc/self/environ").exists():
        return [name for parent, _, name in living().values() if parent == os.getpid() and not name.startswith("ps ")]
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        # An ended process has no file any more, and a zombie has an empty one.
        with contextlib.suppress(OSError):
            if folder.name != str(os.getpid()) and mark.encode() in (folder / "environ").read_bytes():
                found.append(f"process {folder.name}: {(folder / 'cmdline').read_text().replace(chr(0), ' ')}")
    return found


def held_locks() -> list[str]:
    """Return the lock files that this process has open."""
    links = (os.path.realpath(f"/dev/fd/{number}") for number in range(256))
    return [f"lock {link}" for link in links if link.endswith(".lock")]


def wait_until(is_so: Callable[[], bool], *, what: str) -> None:
    """Wait until the condition is true; fail the test after a timeout."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if is_so():
            return
        time.sleep(0.05)
    raise AssertionError(f"in vain: {what}")
