"""Locks files with ``flock``; the system releases the lock when the process ends, however it ends."""

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
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path

from django.core import checks
from django.db import DEFAULT_DB_ALIAS, connections

from django_runbook.exceptions import InvalidUsage, LockUnavailable, RunbookError
from django_runbook.locks import child_descriptors, folder, namespace
from django_runbook.locks.base import Holder, LockState, Probe, name_bytes
from django_runbook.locks.guarded import GuardedLock
from django_runbook.structs import Struct

_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")
_MAX_STEM = 60
_MAX_TEXT_BYTES = 16 * 1024
# For a moment after locking the file, a holder has not yet written its name.
_NAMELESS_SECONDS = 0.2
_FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
_HELD_BY_ANOTHER = frozenset((errno.EWOULDBLOCK, errno.EACCES))


class FileLock(GuardedLock):
    """Holds the lock of a name as a file in a folder that other users cannot write to.

    The file remains when the lock is free; only the holder may `discard` it. After locking, a process checks that the
    path still leads to the locked file, so two processes never hold two files of one name.
    """

    def __init__(
        self,
        name: str,
        *,
        directory: Path,
        namespace: str = "",
        what: str = "",
        make_directory: Callable[[], object] | None = None,
    ) -> None:
        super().__init__(name, what=what)
        self.path = (
            directory / f"{_stem(name)}-{hashlib.sha256(name_bytes(f'{namespace}:{name}')).hexdigest()[:16]}.lock"
        )
        self._make_directory = make_directory or (lambda: None)
        self._held: _LockedFile | None = None

    def acquire(self) -> Holder | None:
        with self._guard:
            self._refuse_second(self._held)
            self._make_directory()
            deadline = time.monotonic() + _NAMELESS_SECONDS
            while True:
                holder = self._try()
                if holder is None or holder.pid or time.monotonic() > deadline:
                    return holder
                time.sleep(0.01)

    def is_held(self) -> bool:
        if self._is_of_a_parent:
            return False
        with self._guard:
            if self._held is None or self._is_lost:
                return False
            try:
                return self._held.is_open and _identity_at(self.path) == self._held.identity
            except OSError:
                return False

    def keep(self) -> LockState:
        if self._is_of_a_parent:
            return LockState.LOST
        with self._guard:
            if self._held is None or self._is_lost:
                return LockState.LOST
            try:
                state = self._keep(self._held)
            except (OSError, LockUnavailable):
                # The file system is unavailable, so it is unknown whether the lock was lost.
                self._patience.begin()
                state = self._patience.answer
            if state in {LockState.HELD, LockState.RETAKEN}:
                self._patience.end()
            self._is_lost = state is LockState.LOST
            return state

    def probe(self) -> Probe:
        with self._guard:
            descriptor = self._open(_FLAGS)
            if descriptor is None:
                # Lock files remain. Without a file, the lock was acquired on another host, or in another folder.
                return Probe.UNKNOWN
            try:
                # A shared lock allows several processes to probe concurrently.
                return Probe.FREE if self._lock(descriptor, fcntl.LOCK_SH) else Probe.HELD
            finally:
                os.close(descriptor)

    def release(self) -> None:
        if self._is_of_a_parent:
            return
        with self._guard:
            if self._held is not None:
                held, self._held = self._held, None
                self._pid = 0
                self._is_lost = False
                self._patience.end()
                held.close()

    def discard(self) -> None:
        """Release the lock and remove its file.

        A process that has opened the file in the meantime notices that the path leads to another file, and retries.
        """
        if self._is_of_a_parent:
            return
        with self._guard:
            if self.is_held():
                with contextlib.suppress(OSError):
                    self.path.unlink()
            self.release()

    def _try(self) -> Holder | None:
        while True:
            descriptor = self._open(_FLAGS | os.O_CREAT)
            if descriptor is None:
                raise LockUnavailable(f"the folder of the lock file {self.path} was removed")
            try:
                is_locked = self._lock(descriptor, fcntl.LOCK_EX)
            except LockUnavailable:
                os.close(descriptor)
                raise
            if not is_locked:
                holder = Holder.of_json(_read(descriptor))
                os.close(descriptor)
                return holder
            if _identity_at(self.path) == _identity(descriptor):
                self._take(descriptor)
                return None
            # The file was removed between opening and locking it.
            os.close(descriptor)

    def _take(self, descriptor: int) -> None:
        text = Holder.here(what=self._what).as_json()
        self._held = _LockedFile(descriptor=descriptor, identity=_identity(descriptor), text=text)
        self._pid = os.getpid()
        child_descriptors.close_in_children(descriptor)
        _write(descriptor, text)

    def _keep(self, held: _LockedFile) -> LockState:
        there = _identity_at(self.path)
        if held.is_open and there == held.identity:
            return LockState.HELD
        if there is None:
            # Another holder since the removal would have left a file.
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            return self._retake(held, _FLAGS | os.O_CREAT | os.O_EXCL, text="")
        if there == held.identity:
            # Our descriptor was closed, which released the lock; another holder since then has written into the file.
            return self._retake(held, _FLAGS, text=held.text)
        return LockState.LOST

    def _retake(self, held: _LockedFile, flags: int, *, text: str) -> LockState:
        """Lock the file of this name, unless its text shows that another process has locked it."""
        try:
            descriptor = os.open(self.path, flags, 0o600)
        except FileExistsError:
            return LockState.LOST
        try:
            is_locked = self._lock(descriptor, fcntl.LOCK_EX)
            is_ours = is_locked and _read(descriptor) == text and _identity_at(self.path) == _identity(descriptor)
        except (OSError, LockUnavailable):
            os.close(descriptor)
            raise
        if not is_ours:
            os.close(descriptor)
            return LockState.LOST
        self._take(descriptor)
        held.close()
        return LockState.RETAKEN

    def _open(self, flags: int) -> int | None:
        """Open the file; return None if it does not exist."""
        try:
            descriptor = os.open(self.path, flags, 0o600)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unusable(error) from error
        problem = _problem(os.fstat(descriptor))
        if problem:
            os.close(descriptor)
            raise LockUnavailable(f"the lock file {self.path} {problem}")
        return descriptor

    def _lock(self, descriptor: int, operation: int) -> bool:
        """Lock the file; return False if another process has locked it."""
        try:
            fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in _HELD_BY_ANOTHER:
                return False
            raise LockUnavailable(f"{self.path} cannot be locked: {error.strerror}") from error
        return True

    def _unusable(self, error: OSError) -> RunbookError:
        if error.errno in {errno.ELOOP, errno.EISDIR, errno.ENXIO}:
            return LockUnavailable(f"the lock file {self.path} is not a regular file")
        with contextlib.suppress(OSError):
            if problem := _problem(self.path.lstat()):
                return LockUnavailable(f"the lock file {self.path} {problem}")
        return folder.unusable(f"the lock file {self.path} cannot be opened", error)


class _LockedFile(Struct):
    """Holds a locked file, its identity, and the text that was written into it."""

    descriptor: int
    identity: tuple[int, int]
    text: str

    @property
    def is_open(self) -> bool:
        """Return whether the descriptor still belongs to the file: not in a forked child, or after it was closed."""
        try:
            return _identity(self.descriptor) == self.identity
        except OSError:
            return False

    def close(self) -> None:
        child_descriptors.forget(self.descriptor)
        if self.is_open:
            _write(self.descriptor, "")
            os.close(self.descriptor)


class FileLocks:
    """Makes the locks of the backend ``file``, which all processes of one user on one host share."""

    def __init__(self, *, what: str = "", directory: object = None) -> None:
        if directory is not None and not isinstance(directory, str | os.PathLike):
            raise InvalidUsage('the option "directory" of the file locks must be a path')
        given = None if directory is None else Path(directory)
        self._location = folder.FolderLocation(given=given, database=namespace.database_file())
        self._what = what

    def __call__(self, name: str) -> FileLock:
        return FileLock(
            name,
            directory=self._directory,
            namespace=namespace.host_namespace(),
            what=self._what,
            # Created with the first lock: a run without locks needs no folder.
            make_directory=lambda: folder.make(self._location),
        )

    @property
    def identity(self) -> str:
        """Identify these locks; the same folder on another host is a different one."""
        return f"file on {socket.gethostname()} in {self._directory}"

    def check(self) -> Sequence[checks.CheckMessage]:
        """Check the folder of these locks, and whether other hosts use the same database."""
        return [*self._check_folder(), *self._check_host()]

    @cached_property
    def _directory(self) -> Path:
        return folder.find(self._location)

    def _check_folder(self) -> Sequence[checks.CheckMessage]:
        try:
            folder.check(self._location)
        except InvalidUsage as error:
            return [checks.Error(str(error), id="django_runbook.E002")]
        return []

    def _check_host(self) -> Sequence[checks.CheckMessage]:
        host = str(connections.settings[DEFAULT_DB_ALIAS].get("HOST") or "")
        if not host or host.startswith(("/", "127.")) or host in {"localhost", "::1", socket.gethostname()}:
            return []
        message = (
            f'RUNBOOK["LOCK"] is "file", and the default database is on another host, "{host}": hosts that share it '
            "do not see the file locks of each other."
        )
        hint = 'Use "database" or "redis", unless only one host runs commands; file locks are also those of one user.'
        return [checks.Warning(message, hint=hint, id="django_runbook.W001")]


def _stem(name: str) -> str:
    return _NOT_IN_NAMES.sub("-", name.lower()).strip("-")[:_MAX_STEM] or "lock"


def _read(descriptor: int) -> str:
    return os.pread(descriptor, _MAX_TEXT_BYTES, 0).decode(errors="replace")


def _write(descriptor: int, text: str) -> None:
    # The lock does not depend on the text: on a full disk, only the name of the holder is missing.
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)


def _problem(status: os.stat_result) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "is not a regular file"
    if status.st_uid != os.geteuid():
        return f"belongs to {folder.name_of_user(status.st_uid)}: one user cannot use the lock files of another"
    if status.st_nlink > 1:
        # The file is written to, so it must not be linked to another file.
        return "has a second name"
    return ""


def _identity(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


def _identity_at(path: Path) -> tuple[int, int] | None:
    """Return the device and inode of a path; None if it does not exist."""
    try:
        status = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return status.st_dev, status.st_ino
