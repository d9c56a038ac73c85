"""Lists the processes below another one, with their names."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from django_runbook.structs import Struct

_PROC: Final = Path("/proc")


class _Process(Struct):
    pid: int
    parent: int
    group: int
    is_alive: bool
    name: str


def children(pid: int) -> list[int]:
    """Return the children of a process, including those that have ended but were not reaped."""
    found = _children_by_kernel(pid)
    return [one.pid for one in _processes() if one.parent == pid] if found is None else found


def descendants(pid: int, *, group: int) -> Iterator[tuple[int, str]]:
    """Yield the living descendants of a process, each with its name.

    On Linux, all of them are below a subreaper. Other systems only list the members of the process group.
    """
    if not _PROC.is_dir():
        yield from ((one.pid, one.name) for one in _processes() if one.group == group and one.is_alive)
        return
    waiting = children(pid)
    while waiting:
        one = _read(waiting.pop())
        if one is None:
            continue
        waiting += children(one.pid)
        if one.is_alive:
            yield one.pid, one.name


def _children_by_kernel(pid: int) -> list[int] | None:
    """Return the children that the kernel lists; None if it does not list them (CONFIG_PROC_CHILDREN)."""
    try:
        texts = [path.read_text() for path in (_PROC / str(pid) / "task").glob("*/children")]
    except OSError:
        return None
    return [int(word) for text in texts for word in text.split()] if texts else None


def _processes() -> Iterator[_Process]:
    if not _PROC.is_dir():
        yield from _processes_by_ps()
        return
    for folder in _PROC.glob("[0-9]*"):
        if (one := _read(int(folder.name))) is not None:
            yield one


def _read(pid: int) -> _Process | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    name, _, rest = text.partition("(")[2].rpartition(")")
    state, parent, group, *_ = rest.split()
    return _Process(pid=pid, parent=int(parent), group=int(group), is_alive=state not in "ZX", name=name)


def _processes_by_ps() -> Iterator[_Process]:
    # macOS has no /proc.
    listing = subprocess.run(
        ["ps", "-A", "-o", "pid=,ppid=,pgid=,state=,comm="],
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    for line in listing.stdout.splitlines():
        pid, parent, group, state, name = line.split(None, 4)
        yield _Process(
            pid=int(pid),
            parent=int(parent),
            group=int(group),
            is_alive=state[0] not in "ZX",
            name=name.rpartition("/")[2],
        )
