"""Restores the standard descriptors that an inline command has closed or replaced."""

from __future__ import annotations

import contextlib
import fcntl
import os
import resource
from collections.abc import Iterable, Iterator
from typing import Final

_NAMES: Final = {0: "standard input", 1: "standard output", 2: "standard error"}
# Commands that close "all" descriptors before they fork usually stop at 256.
_HIGH: Final = 500


# Descriptors with the identities of their files.
Noted = dict[int, tuple[int, int] | None]


def identity(descriptor: int) -> tuple[int, int] | None:
    """Return the device and inode of an open descriptor; None if it is closed."""
    try:
        found = os.fstat(descriptor)
    except OSError:
        return None
    return found.st_dev, found.st_ino


def noted(descriptors: Iterable[int]) -> Noted:
    """Record the files of these descriptors and of the standard ones, for `problems`."""
    return {descriptor: identity(descriptor) for descriptor in (*_NAMES, *descriptors)}


def problems(before: Noted) -> list[str]:
    """Describe the descriptors that were closed or replaced since the files were recorded."""
    changed = [descriptor for descriptor, file in before.items() if identity(descriptor) != file]
    lost = [_NAMES[descriptor] for descriptor in changed if descriptor in _NAMES]
    if any(descriptor not in _NAMES for descriptor in changed):
        lost.append("files of the run")
    return [f"it closed or replaced {', '.join(lost)}"] if lost else []


class OpenFiles:
    """Restores the standard descriptors from a copy of each."""

    def __init__(self) -> None:
        self._copies: dict[int, int] = {}
        self._identities: Noted = {}

    def keep(self) -> None:
        """Copy the standard descriptors, once."""
        if self._identities:
            return
        limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        lowest = min(_HIGH, limit // 2) if limit > 0 else _HIGH
        for descriptor in _NAMES:
            with contextlib.suppress(OSError):
                self._copies[descriptor] = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, lowest)
        self._identities = {descriptor: identity(descriptor) for descriptor in (*_NAMES, *self._copies.values())}

    @property
    def copies(self) -> tuple[int, ...]:
        return tuple(self._copies.values())

    def restore(self) -> None:
        """Reopen the standard descriptors that were closed or replaced."""
        for descriptor in _NAMES:
            self._restore(descriptor)

    def close(self) -> None:
        for copy in self._copies.values():
            if self._is_intact(copy):
                os.close(copy)

    def _restore(self, descriptor: int) -> None:
        before = self._identities[descriptor]
        if identity(descriptor) == before:
            return
        copy = self._copies.get(descriptor, -1)
        if before is None:
            os.close(descriptor)
        elif self._is_intact(copy):
            os.dup2(copy, descriptor)
        elif identity(descriptor) is None:
            # The next opened file must not get its number.
            null = os.open(os.devnull, os.O_RDWR)
            if null != descriptor:
                os.dup2(null, descriptor)
                os.close(null)
            self._identities[descriptor] = identity(descriptor)
        else:
            self._identities[descriptor] = identity(descriptor)

    def _is_intact(self, copy: int) -> bool:
        return copy >= 0 and identity(copy) == self._identities[copy]


@contextlib.contextmanager
def spared(descriptors: Iterable[int]) -> Iterator[None]:
    """Protect these descriptors from Python code in this process; its forked children may close them."""
    before = {name: getattr(os, name) for name in ("close", "closerange", "dup2")}
    own_pid, kept = os.getpid(), sorted(set(descriptors))

    def is_kept(descriptor: int) -> bool:
        return descriptor in kept and os.getpid() == own_pid

    def close(fd: int) -> None:
        if not is_kept(fd):
            before["close"](fd)

    def closerange(fd_low: int, fd_high: int, /) -> None:
        low = fd_low
        for descriptor in filter(is_kept, kept):
            if low <= descriptor < fd_high:
                before["closerange"](low, descriptor)
                low = descriptor + 1
        before["closerange"](low, fd_high)

    def dup2(fd: int, fd2: int, inheritable: bool = True) -> int:  # noqa: FBT001, FBT002 - as in `os`
        return fd2 if is_kept(fd2) else before["dup2"](fd, fd2, inheritable)

    for function in (close, closerange, dup2):
        setattr(os, function.__name__, function)
    try:
        yield
    finally:
        for name, function in before.items():
            setattr(os, name, function)


@contextlib.contextmanager
def kept_open() -> Iterator[OpenFiles]:
    """Keep copies of the standard descriptors during a run."""
    found = OpenFiles()
    try:
        yield found
    finally:
        found.close()
