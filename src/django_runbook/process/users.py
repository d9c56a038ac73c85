"""Restores the user and the groups of this process."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator

_Identity = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]


class Users:
    """Holds the user and the groups that steps start with.

    If a change cannot be undone, only the step that made it fails; later steps start with the changed user.
    """

    def __init__(self) -> None:
        self._before = _now()

    def restore(self) -> list[str]:
        """Restore the user and the groups; return a message if they were changed."""
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
    # If the process may become root again, it must do so first.
    yield lambda: os.seteuid(users[1])
    yield lambda: os.setgroups(list(others))
    yield lambda: os.setresgid(*groups) if len(groups) == 3 else os.setegid(groups[1])
    yield lambda: os.setresuid(*users) if len(users) == 3 else os.seteuid(users[1])


def _described(identity: _Identity) -> str:
    users, groups, _ = identity
    return f"to {users[1]}:{groups[1]}"
