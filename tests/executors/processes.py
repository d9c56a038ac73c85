"""Lists the processes and locks that a test has."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path


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
    for folder in Path("/proc").iterdir():
        # An ended process has no file any more, and a zombie has an empty one.
        with contextlib.suppress(OSError):
            is_other = folder.name.isdigit() and folder.name != str(os.getpid())
            if is_other and mark.encode() in (folder / "environ").read_bytes():
                found.append(f"process {folder.name}: {(folder / 'cmdline').read_text().replace(chr(0), ' ')}")
    return found


def held_locks() -> list[str]:
    """Return the lock files that this process has open."""
    found = []
    for descriptor in Path("/dev/fd").iterdir():
        with contextlib.suppress(OSError):
            found.append(descriptor.readlink())
    return [f"lock {path}" for path in found if path.suffix == ".lock"]
