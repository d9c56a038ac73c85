"""Restores the user and the groups of this process, which decide what it may read and write."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

_Identity = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


class Users:
    """Holds the user and the groups that steps start with.

    What a step has changed for good is what the steps after it start with, and only that step's fault.
    """

    def __init__(self) -> None:
        self._before = _now()

    def restore(self) -> list[str]:
        """Restore them; return what has happened, if they were changed."""
        now = _now()
        if now == self._before:
            return []
        what = f"it changed the user of the process, {_described(now)}"
        for step in _steps(self._before):
            with contextlib.suppress(OSError):
                step()
        if (now := _now()) == self._before:
            return [what]
        self._before = now
        return [f"{what}, which cannot be restored"]


def _now() -> _Identity:
    users = os.getresuid() if hasattr(os, "getresuid") else (os.getuid(), os.geteuid())
    groups = os.getresgid() if hasattr(os, "getresgid") else (os.getgid(), os.getegid())
    return users, groups, tuple(sorted(os.getgroups()))


def _steps(before: _Identity) -> Iterator[Callable[[], object]]:
    users, groups, others = before
    # Who may be root again must be it first.
    yield lambda: os.seteuid(users[1])
    yield lambda: os.setgroups(list(others))
    yield lambda: os.setresgid(*groups) if len(groups) == 3 else os.setegid(groups[1])
    yield lambda: os.setresuid(*users) if len(users) == 3 else os.seteuid(users[1])


def _described(identity: _Identity) -> str:
    users, groups, _ = identity
    return f"to {users[1]}:{groups[1]}"
