"""A lock as a file that is locked with ``flock``: the system frees it when its process ends, in whatever way."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
import socket
import stat
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from django.core import checks
from django.db import DEFAULT_DB_ALIAS, connections

from django_runbook.exceptions import InvalidUsage, LockUnavailable
from django_runbook.locks import folder, forks, space
from django_runbook.locks.base import Holder

_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")
_MAX_STEM = 60
# Between its locking the file and its writing into it, a holder has no name.
_NAMELESS_SECONDS = 0.2


class FileLock:
    """The lock of a name, in a folder that nobody else can write to.

    The file stays when the lock is free; only its holder may `remove` it. Who locks it looks afterwards whether it is
    still the file of this name, so that two processes never lock two files of it.
    """

    def __init__(self, name: str, *, directory: Path, space: str = "", what: str = "") -> None:
        self.name = name
        self.path = directory / f"{_stem(name)}-{hashlib.sha256(f'{space}:{name}'.encode()).hexdigest()[:16]}.lock"
        self._what = what
        self._descriptor: int | None = None

    def acquire(self) -> Holder | None:
        if self._descriptor is not None:
            raise RuntimeError(f'the lock "{self.name}" is held already')
        deadline = time.monotonic() + _NAMELESS_SECONDS
        while True:
            holder = self._try()
            if holder is None or holder.pid or time.monotonic() > deadline:
                return holder
            time.sleep(0.01)

    def is_held(self) -> bool:
        return self._descriptor is not None and _is_same(self._descriptor, self.path)

    def release(self) -> None:
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            forks.forget(descriptor)
            _write(descriptor, "")
            os.close(descriptor)

    def remove(self) -> None:
        """Release it for good, for a name that nobody will need again: its file goes too.

        Who has opened the file meanwhile sees that it is not the one of this name any more, and makes a new one.
        """
        if self.is_held():
            with contextlib.suppress(OSError):
                self.path.unlink()
        self.release()

    def _try(self) -> Holder | None:
        while True:
            descriptor = self._open()
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                holder = Holder.of_json(_read(descriptor))
                os.close(descriptor)
                if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
                    return holder
                raise LockUnavailable(f"{self.path} cannot be locked: {error.strerror}") from error
            if _is_same(descriptor, self.path):
                break
            # Somebody removed the file between our opening and our locking it.
            os.close(descriptor)
        self._descriptor = descriptor
        forks.keep_from_children(descriptor)
        _write(descriptor, Holder.here(what=self._what).as_json())
        return None

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            descriptor = os.open(self.path, flags, 0o600)
        except OSError as error:
            if error.errno in {errno.ELOOP, errno.EISDIR, errno.ENXIO}:
                raise LockUnavailable(f"the lock file {self.path} is not a regular file") from error
            raise LockUnavailable(f"the lock file {self.path} cannot be opened: {error.strerror}") from error
        problem = _problem(os.fstat(descriptor))
        if problem:
            os.close(descriptor)
            raise LockUnavailable(f"the lock file {self.path} {problem}")
        return descriptor


class FileLocks:
    """The backend ``file``: locks that all processes of one user on one host share."""

    def __init__(self, *, what: str = "", directory: object = None) -> None:
        if directory is not None and not isinstance(directory, str | os.PathLike):
            raise InvalidUsage('the option "directory" of the file locks must be a path')
        given = None if directory is None else Path(directory)
        # Only with the first lock: a run that takes none needs no folder.
        self._directory = cache(lambda: folder.private(given))
        self._what = what

    def __call__(self, name: str) -> FileLock:
        return FileLock(name, directory=self._directory(), space=space.on_this_host(), what=self._what)

    def check(self) -> Sequence[checks.CheckMessage]:
        """What a project should know about these locks."""
        host = str(connections.settings[DEFAULT_DB_ALIAS].get("HOST") or "")
        if not host or host.startswith(("/", "127.")) or host in {"localhost", "::1", socket.gethostname()}:
            return []
        message = (
            f'RUNBOOK["LOCK"] is "file", and the default database is on another host, "{host}": hosts that share it '
            "do not see the file locks of each other."
        )
        hint = 'Take "database" or "redis", unless only one host runs commands; file locks are also those of one user.'
        return [checks.Warning(message, hint=hint, id="django_runbook.W001")]


def _stem(name: str) -> str:
    return _NOT_IN_NAMES.sub("-", name.lower()).strip("-")[:_MAX_STEM] or "lock"


def _read(descriptor: int) -> str:
    return os.pread(descriptor, 4096, 0).decode(errors="replace")


def _write(descriptor: int, text: str) -> None:
    # What keeps the lock is the system, not the text: on a full disk the holder is only not named.
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)


def _problem(status: os.stat_result) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if status.st_uid != os.geteuid():
        return f"belongs to {folder.name_of_user(status.st_uid)}: one user cannot use the lock files of another"
    if status.st_nlink > 1:
        # We write into it, so it must not be a file that is something else elsewhere.
        return "has a second name"
    return ""


def _is_same(descriptor: int, path: Path) -> bool:
    """Whether the file that we locked is still the one of this name."""
    try:
        there = path.lstat()
        ours = os.fstat(descriptor)
    except OSError:
        return False
    return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)
