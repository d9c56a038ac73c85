"""A lock as a file that is locked with ``flock``: the system frees it when its process ends, in whatever way."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import pwd
import re
import stat
import tempfile
from pathlib import Path

from django_runbook.exceptions import InvalidUsage
from django_runbook.locks.base import Holder

_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")
_MAX_STEM = 60


class FileLock:
    """The lock of a name, in a folder that nobody else can write to.

    The file stays when the lock is free: removing it would let two processes lock two files of the same name.
    """

    def __init__(self, name: str, *, directory: Path, space: str = "", what: str = "") -> None:
        self.name = name
        self.path = directory / f"{_stem(name)}-{hashlib.sha256(f'{space}:{name}'.encode()).hexdigest()[:16]}.lock"
        self._what = what
        self._descriptor: int | None = None

    def acquire(self) -> Holder | None:
        if self._descriptor is not None:
            raise RuntimeError(f'the lock "{self.name}" is held already')
        while True:
            descriptor = self._open()
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                holder = Holder.of_json(_read(descriptor))
                os.close(descriptor)
                if error.errno in {errno.EWOULDBLOCK, errno.EACCES}:
                    return holder
                raise InvalidUsage(f"{self.path} cannot be locked: {error.strerror}") from error
            if _is_same(descriptor, self.path):
                break
            # Somebody removed the file between our opening and our locking it.
            os.close(descriptor)
        self._descriptor = descriptor
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, Holder.here(what=self._what).as_json().encode(), 0)
        return None

    def is_held(self) -> bool:
        return self._descriptor is not None and _is_same(self._descriptor, self.path)

    def release(self) -> None:
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        try:
            descriptor = os.open(self.path, flags, 0o600)
        except OSError as error:
            raise InvalidUsage(f"the lock file {self.path} cannot be opened: {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise InvalidUsage(f"the lock file {self.path} is not a regular file")
        return descriptor


def private_directory(given: Path | None = None) -> Path:
    """The folder of the lock files, made where it is not there: the given one, or one of this user's own.

    It is the same for cron, a deploy and a login, which have different environments: it comes from the user database
    and not from HOME or XDG variables. Raises InvalidUsage where others could put files into it.
    """
    if given is not None:
        return _made(given, is_shared=True)
    home = _home()
    if home is not None:
        try:
            return _made(home / ".local" / "state" / "django-runbook" / "locks", is_shared=False)
        except OSError:
            # The home of a system user often cannot be written to.
            pass
    path = Path(tempfile.gettempdir()) / f"django-runbook-{os.getuid()}"
    try:
        return _made(path, is_shared=False)
    except OSError as error:
        raise InvalidUsage(f"no folder for lock files: {path}: {error.strerror}; set LOCK_DIR in RUNBOOK") from error


def _made(path: Path, *, is_shared: bool) -> Path:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        if is_shared:
            raise InvalidUsage(f"the folder of lock files {path} cannot be made: {error.strerror}") from error
        raise
    if is_shared:
        return path
    found = path.lstat()
    if stat.S_ISLNK(found.st_mode) or not stat.S_ISDIR(found.st_mode):
        raise InvalidUsage(f"the folder of lock files {path} is not a folder; set LOCK_DIR in RUNBOOK")
    if found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise InvalidUsage(f"others can write to the folder of lock files {path}; set LOCK_DIR in RUNBOOK")
    return path


def _home() -> Path | None:
    try:
        home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    except KeyError:
        return None
    return home if home.is_dir() and os.access(home, os.W_OK) else None


def _stem(name: str) -> str:
    return _NOT_IN_NAMES.sub("-", name.lower()).strip("-")[:_MAX_STEM] or "lock"


def _read(descriptor: int) -> str:
    return os.pread(descriptor, 4096, 0).decode(errors="replace")


def _is_same(descriptor: int, path: Path) -> bool:
    """Whether the file that we locked is still the one of this name."""
    try:
        there = path.lstat()
    except OSError:
        return False
    ours = os.fstat(descriptor)
    return (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)
